# SPDX-License-Identifier: Apache-2.0
# The lab's targets; the Makefile at the top includes this file. SERVICE names one service or more.

LAB = python3 -m lab

.PHONY: lab lab-one lab-down lab-status lab-start lab-stop lab-kill lab-freeze lab-thaw \
	lab-restart lab-reload lab-logs lab-reset lab-clean

lab:
	$(LAB) up

lab-one:
	$(LAB) up --region one

lab-down lab-status lab-reload lab-reset lab-clean:
	$(LAB) $(patsubst lab-%,%,$@)

lab-start lab-stop lab-kill lab-freeze lab-thaw lab-restart lab-logs:
	$(LAB) $(patsubst lab-%,%,$@) $(or $(SERVICE),$(error say which: make $@ SERVICE=nova-compute-c1))
