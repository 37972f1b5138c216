package session

import (
	"testing"

	"holdfast/pkg/hub"
	"holdfast/pkg/origin"
	"holdfast/pkg/stats"
)

// With as many origins as pushd allows all forms have numbers, and what follows from one form is of
// the same kind.
func TestFormsOfAllOrigins(t *testing.T) {
	var list []string
	for i := range origin.MaxOrigins {
		list = append(list, "https://host-"+string(rune('a'+i%26))+string(rune('a'+i/26))+".example")
	}
	rules, err := origin.Parse(list)
	if err != nil {
		t.Fatal(err)
	}
	o := testOptions
	o.Origins = rules
	n := &nullTransport{}
	dir := hub.NewDirectory(1)
	dir.SetLoops([]hub.Loop{nullPost{n}})
	c := New(o, n, dir, 0, new(stats.Loop))
	if got := len(c.forms.polls); got != len(list)+2 {
		t.Errorf("polls have %d sets of forms, want one for each origin and two more", got)
	}
	for id, f := range c.forms.all {
		gapped, closing := c.forms.at(f.gapped), c.forms.at(f.closing)
		if gapped.kind != f.kind || closing.kind != f.kind || gapped.closes != f.closes {
			t.Errorf("form %d becomes form %d after a gap and form %d when it closes", id, f.gapped, f.closing)
		}
		if f.kind.counts() == stats.Poll && f.each == nil && !closing.closes {
			t.Errorf("form %d of a poll becomes form %d, which does not close", id, f.closing)
		}
	}
}
