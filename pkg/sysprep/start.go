package sysprep

import (
	"os"
	"slices"
)

// startGroups are what a server looks at when it starts: what can be read in a few milliseconds, and belongs to the
// host. Its own open files it has reckoned with by then, so rlimit.nofile and fs.nr_open say nothing new.
var startGroups = []string{GroupMemory, GroupFiles, GroupEpoll, GroupAccept, GroupBuffers, GroupLife, GroupTables}

// runAtStart makes the checks of a start for the process that starts.
func runAtStart(h *Host, t Target) Report {
	var only []string
	for _, c := range checks {
		if slices.Contains(startGroups, c.Group) && c.ID != "rlimit.nofile" && c.ID != "fs.nr_open" {
			only = append(only, c.ID)
		}
	}
	t.PID = os.Getpid()
	if !h.Live() {
		t.PID = 0
	}
	return Run(h, t, Selection{Only: only})
}

// CapacityAtStart is for how many connections, t.N at most, the checks of a start have room, and which of them allows no
// more. limit is "" when all of t.N fit.
func CapacityAtStart(h *Host, t Target) (connections int64, limit string) {
	r := runAtStart(h, t)
	if r.Capacity == nil || *r.Capacity >= t.N {
		return t.N, ""
	}
	return *r.Capacity, *r.FirstLimit
}

// AtStart makes the checks that a server makes before it serves t.N clients, and returns those that fail. refuse tells
// whether a strict server should not start: of a server on loopback addresses only, which is a test or stands behind a
// proxy, settings of the network are no reason.
func AtStart(h *Host, t Target, loopback bool) (failed []Finding, refuse bool) {
	for _, f := range runAtStart(h, t).Checks {
		if f.Outcome != Fail {
			continue
		}
		failed = append(failed, f)
		network := f.Group == GroupAccept || f.Group == GroupBuffers || f.Group == GroupLife || f.Group == GroupTables
		refuse = refuse || !loopback || !network
	}
	return failed, refuse
}
