package stats

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"
)

func TestAnswers(t *testing.T) {
	var a Answers
	var r RouteSnapshot
	if a.Fill(&r); r.P50 != 0 || r.P99 != 0 || r.Max != 0 {
		t.Errorf("of nothing: %+v, want zeros", r)
	}
	for i := range 1000 {
		a.Record(time.Duration(i+1) * time.Millisecond)
	}
	a.Record(-time.Second)
	near := func(got, want float64) bool { return math.Abs(got-want) <= want/100 }
	if a.Fill(&r); !near(r.P50, 500_000) || !near(r.P99, 990_000) || !near(r.Max, 1_000_000) {
		t.Errorf("of 1 to 1000 ms: %+v", r)
	}
	a.Record(100 * time.Hour)
	if a.Fill(&r); !near(r.Max, 3600e6) {
		t.Errorf("Max = %v us after 100 hours, want an hour", r.Max)
	}
}

func TestBackendsAreLeftOutWithoutRoutes(t *testing.T) {
	b, err := json.Marshal(Snapshot{})
	if err != nil || strings.Contains(string(b), "backends") {
		t.Errorf("Marshal = %s, %v, want nothing of backends", b, err)
	}
	b, err = json.Marshal(Snapshot{Backends: &Backends{Waiting: 3}})
	if err != nil || !strings.Contains(string(b), `"backends":{"requests":0,`) || !strings.Contains(string(b), `"waiting":3`) {
		t.Errorf("Marshal = %s, %v", b, err)
	}
}
