package stats

import (
	"encoding/json"
	"strings"
	"testing"
)

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
