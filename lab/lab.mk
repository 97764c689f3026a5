# SPDX-License-Identifier: Apache-2.0
# The lab's targets; the Makefile at the top includes this file. SERVICE names one service or more,
# as `make lab-status` shows them; r1, r2 and r3 are whole hosts with real guests.

LAB = python3 -m lab
ONE_SERVICE = $(or $(SERVICE),$(error say which, for instance: make $@ SERVICE=nova-compute-c1))
ONE_HOST = $(or $(HOST),$(error say which, for instance: make $@ HOST=r1))

.PHONY: lab lab-one lab-real lab-cut lab-heal lab-down lab-status lab-start lab-stop lab-kill \
	lab-freeze lab-thaw lab-restart lab-reload lab-apart lab-together lab-logs lab-reset lab-clean

lab: ## Start the lab, a small real OpenStack cloud in two regions.
	@$(LAB) up

lab-one: ## Start the lab with its first region only.
	@$(LAB) up --region one

lab-real: ## Start the lab's first region with real guests on Ceph, which takes root.
	@$(LAB) up --real

lab-cut: ## Cut HOST=r1 with real guests off, or LINK=management|storage|guests of it.
	@$(LAB) cut $(ONE_HOST) $(if $(LINK),--link $(LINK))

lab-heal: ## Put the links of HOST=r1 back.
	@$(LAB) heal $(ONE_HOST)

lab-down: ## Stop the lab and keep its data.
	@$(LAB) down

lab-status: ## Show the lab's services.
	@$(LAB) status

lab-start: ## Start SERVICE of the lab.
	@$(LAB) start $(ONE_SERVICE)

lab-stop: ## Stop SERVICE of the lab in order.
	@$(LAB) stop $(ONE_SERVICE)

lab-kill: ## End SERVICE of the lab as a crash would.
	@$(LAB) kill $(ONE_SERVICE)

lab-freeze: ## Halt SERVICE of the lab in the middle of what it does.
	@$(LAB) freeze $(ONE_SERVICE)

lab-thaw: ## Let a frozen SERVICE go on.
	@$(LAB) thaw $(ONE_SERVICE)

lab-restart: ## Stop and start SERVICE of the lab.
	@$(LAB) restart $(ONE_SERVICE)

lab-reload: ## Install heat-ha into the running lab again.
	@$(LAB) reload

lab-apart: ## Start Barbican, and give RegionTwo's Heat a Keystone of its own.
	@$(LAB) apart

lab-together: ## End what lab-apart has begun.
	@$(LAB) together

lab-logs: ## Show the end of the log of SERVICE.
	@$(LAB) logs $(ONE_SERVICE)

lab-reset: ## Stop the lab and forget all stacks, servers and volumes.
	@$(LAB) reset

lab-clean: ## Stop the lab and remove all of it.
	@$(LAB) clean
