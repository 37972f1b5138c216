package tui

import (
	"testing"

	"holdfast/pkg/stats"
)

// Ordinary disconnects between two ticks push the trouble out of the mailbox, and nothing says so.
func TestTroublesSurviveAStormOfDisconnects(t *testing.T) {
	v := &events{}
	v.box = &mailbox{wanted: v.wanted()}
	n := &node{}
	v.box.put(n, &stats.EventBatch{Events: []stats.Event{{Type: stats.EventDrop, Reason: "queue-full"}}})
	storm := make([]stats.Event, 256)
	for i := range storm {
		storm[i] = stats.Event{Type: stats.EventDisconnect, Reason: "client"}
	}
	for range 4 {
		v.box.put(n, &stats.EventBatch{Events: storm})
	}
	v.collect()
	if len(v.rows) != 1 && v.lost == 0 {
		t.Errorf("%d rows, %d said to be lost: the drop is gone without a word", len(v.rows), v.lost)
	}
}

// One pushd of two has no room left; the sum of both looks well.
func TestSumHidesAFullPushd(t *testing.T) {
	full := stats.Snapshot{PID: 1, UptimeSeconds: 100, Connections: stats.Connections{Total: 19000, WS: 19000}, FDs: stats.FDs{Used: 19990, Limit: 20000},
		Limits: stats.Limits{MaxConnections: 19000}}
	idle := stats.Snapshot{PID: 2, UptimeSeconds: 100, FDs: stats.FDs{Used: 30, Limit: 20000}, Limits: stats.Limits{MaxConnections: 19000}}
	m := &model{scope: -1, g: &unicodeGlyphs, nodes: []*node{{path: "a", last: sample{snap: &full}}, {path: "b", last: sample{snap: &idle}}}}
	if level, found := m.findings(); level != critical {
		t.Errorf("%v %v with a pushd at 100%% of its connections and files", level, found)
	}
}
