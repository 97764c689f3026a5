# SPDX-License-Identifier: Apache-2.0
"""heat-ha: high availability policies for OpenStack Heat.

One word per idea, in code, documents and logs:

member
    one resource of a group; *server*: a Nova instance, possibly nested in a member.
active / standby
    the member that holds what the template hands over / the members that may take it.
observation, decision, step
    what was seen, what is to be done and why, one thing that is done.
plan
    the graph of steps; *handoff*: moving what the template names to the new active.
failover / switchover
    unplanned / asked for by a person.
fenced
    seen to be unable to write any more.
epoch
    a number that grows with each change of the active.
source, report, incident
    what tells of hosts, what it said of one, one failure of one with all that is done about it.
rescue
    bringing a server back, or what it did, after its host died.
"""
