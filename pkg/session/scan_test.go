package session

import (
	"fmt"
	"testing"

	"holdfast/pkg/stats"
)

// A scan for a channel that is gone half way looks at each connection once.
func TestScanOfAChannelThatGoesCountsOnce(t *testing.T) {
	f := newFake(t)
	id, _ := f.get("/stream?channel=gone")
	for i := range 2500 {
		f.get(fmt.Sprintf("/stream?channel=c%d", i%7))
	}
	done := make(chan struct{}, 1)
	s := &Scan{Context: t.Context(), Query: stats.ConnectionQuery{Top: 1, Filter: stats.ConnectionFilter{Channel: "gone"}}, Done: done}
	f.clients.Task(s)
	f.clients.BatchEnd()
	f.end(id, false, stats.CloseClient)
	f.finishTask((<-f.verdicts).(inquiry), done)
	if s.Total > 2501 {
		t.Errorf("%d connections looked at, there were 2501", s.Total)
	}
}
