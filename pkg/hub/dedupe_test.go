package hub

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/pkg/publish"
)

// The second item of an id is dropped, for the time and not for ever, and for its channel only.
func TestRepeatsAreDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &recordSink{}
		dir, loops := newQueueLoops(1, 1<<20, []Encoder{plain}, func(int) Sink { return sink })
		dir.DropRepeats(time.Minute)
		loops[0].members.Join(1, []byte("a"), 0, 0)
		loops[0].members.Join(1, []byte("b"), 0, 0)
		publishIDs := func(ids ...string) (receivers []int) {
			var items []publish.Item
			for _, id := range ids {
				it := stream(id[:1], "x")
				it.ID = id[1:]
				items = append(items, it)
			}
			done := publishAll(t, dir, items...)
			loops[0].settle()
			b := <-done
			for i := range b.Deliveries {
				receivers = append(receivers, b.Deliveries[i].Receivers())
			}
			return receivers
		}
		for _, step := range []struct {
			wait time.Duration
			ids  []string
			want []int
		}{
			{0, []string{"a1", "a2", "a1", "b1", "a", "a"}, []int{1, 1, 0, 1, 1, 1}},
			{30 * time.Second, []string{"a1"}, []int{0}},
			{59 * time.Second, []string{"a1", "a3"}, []int{0, 1}}, // known again since 30 s
			{2 * time.Minute, []string{"a1", "a2"}, []int{1, 1}},
			{0, []string{"a1"}, []int{0}},
		} {
			time.Sleep(step.wait)
			if got := publishIDs(step.ids...); !slices.Equal(got, step.want) {
				t.Errorf("after %v, %v: %v, want %v", step.wait, step.ids, got, step.want)
			}
		}
		if n := dir.Repeats(); n != 4 {
			t.Errorf("%d repeats, want 4", n)
		}
	})
}

func TestRememberedIDsAreBounded(t *testing.T) {
	dir := NewDirectory(1)
	dir.DropRepeats(time.Hour)
	now := time.Now()
	for i := range maxSeen + 10 {
		if dir.seen.repeats("a", fmt.Sprint(i), now) {
			t.Fatalf("id %d came before", i)
		}
	}
	if n := len(dir.seen.now) + len(dir.seen.old); n > maxSeen {
		t.Errorf("%d ids are remembered", n)
	}
	if !dir.seen.repeats("a", fmt.Sprint(maxSeen), now) || dir.seen.repeats("a", "0", now) {
		t.Error("the newest is forgotten, or the oldest is not")
	}
}
