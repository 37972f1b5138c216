package sysprep

import (
	"os"
	"slices"
)

// startGroups are what a server looks at when it starts: what can be read in a few milliseconds, and belongs to the
// host. Its own open files it has reckoned with by then, so rlimit.nofile and fs.nr_open say nothing new.
var startGroups = []string{GroupMemory, GroupFiles, GroupEpoll, GroupAccept, GroupBuffers, GroupLife, GroupTables}

// AtStart makes the checks that a server makes before it serves t.N clients, and returns those that fail. refuse tells
// whether a strict server should not start: of a server on loopback addresses only, which is a test or stands behind a
// proxy, settings of the network are no reason.
func AtStart(h *Host, t Target, loopback bool) (failed []Finding, refuse bool) {
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
	for _, f := range Run(h, t, Selection{Only: only}).Checks {
		if f.Outcome != Fail {
			continue
		}
		failed = append(failed, f)
		network := f.Group == GroupAccept || f.Group == GroupBuffers || f.Group == GroupLife || f.Group == GroupTables
		refuse = refuse || !loopback || !network
	}
	return failed, refuse
}
