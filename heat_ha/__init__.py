# SPDX-License-Identifier: Apache-2.0
"""heat-ha: high availability policies for OpenStack Heat.

One word per idea, in code, documents and logs:

policy
    a resource of Heat that acts on signals. What oslo.policy calls a policy is an *access rule*.
member, server
    one resource of a group; a Nova instance, which may be nested in a member.
active, standby
    the member that holds what the template hands over; the members that may take it.
eligible, successor
    able to take over now; the standby that is chosen to become the active.
victim
    a member that a replacement removes.
failover, switchover, fail back
    a change of the active after a fault; one that a person asks for; one to the previous active.
handoff
    the move of what the template names from the old active to the new one.
observation, decision, step
    what was seen; what follows from it, with a reason; one thing that is done.
plan
    the graph of the steps of one failover, which is on record before the first step begins.
record
    what must survive the death of an engine, kept as data of a resource or in a table.
lease
    the right of one engine or agent to work on a group, a policy or a host, until it is released
    or its holder is dead.
epoch
    a number that grows with each change of the active.
retained
    left in the group for inspection after it was replaced, shut off and without volumes.
cooldown
    the time after a change in which further alarms are refused.
remedy
    what a person can do about a refusal or a stop; each of these texts ends with one.
fence, proof
    to make sure that a host cannot write; who saw that it cannot, how and when.
source, report, incident
    what reports on hosts; what it reported about one; one failure of a host with all that is done
    about it.
instance failure
    the end of a guest that nobody had asked Nova for, on a host that lives on.
storm guard
    the limit on failures within a period, above which a person has to decide.
deferred, quarantined
    held back by the storm guard; back after an incident, and not yet clean enough for servers.
rescue
    what brings a server back after its host died. Nova calls something else a rescue: to boot a
    server from a rescue image, for repair. heat-ha never does that.
part
    what one region holds of a RemoteStack.
revision
    the SHA-256 of all that a part is to hold. Equal revisions need no request.
pending
    not sent to a region yet, because the region did not answer.
drift
    a difference between a region's stack and its revision that somebody else has made.
tombstone
    a delete that a region has not been sent yet.
stall
    a time in which nothing moves in a stack that is in progress.
"""
