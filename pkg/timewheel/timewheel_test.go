package timewheel

import (
	"math/rand/v2"
	"testing"
)

func newWheel(n int) (*Wheel, []Node) {
	nodes := make([]Node, n+1)
	return New(func(id uint32) *Node { return &nodes[id] }), nodes
}

func TestAgainstMap(t *testing.T) {
	const slots = 500
	w, _ := newWheel(slots)
	model := map[uint32]Tick{}
	rnd := rand.New(rand.NewPCG(3, 4))
	now := Tick(0)
	for range 100_000 {
		id := uint32(1 + rnd.IntN(slots))
		switch rnd.IntN(10) {
		case 0, 1, 2, 3:
			due := now + Tick(rnd.IntN(3*buckets)) // some more than a turn away
			w.Arm(id, due)
			model[id] = max(due, now+1)
		case 4:
			w.Disarm(id)
			delete(model, id)
		default:
			if next, ok := w.Next(); ok != (len(model) > 0) {
				t.Fatalf("Next says %v with %d armed", ok, len(model))
			} else if ok {
				for id, due := range model {
					if due < next {
						t.Fatalf("Next = %d, but slot %d is due at %d", next, id, due)
					}
				}
			}
			now += Tick(rnd.IntN(200))
			for w.Advance(now, 3, func(id uint32) {
				due, armed := model[id]
				if !armed || due > now {
					t.Fatalf("at %d slot %d fired, armed %v for %d", now, id, armed, due)
				}
				delete(model, id)
			}) {
			}
			for id, due := range model {
				if due <= now {
					t.Fatalf("at %d slot %d, due at %d, has not fired", now, id, due)
				}
			}
		}
	}
}

func TestDisarmWhileFiring(t *testing.T) {
	w, nodes := newWheel(3)
	for id := uint32(1); id <= 3; id++ {
		w.Arm(id, 5)
	}
	var fired []uint32
	w.Advance(5, 10, func(id uint32) {
		fired = append(fired, id)
		for other := uint32(1); other <= 3; other++ {
			if other != id {
				w.Disarm(other)
			}
		}
	})
	if len(fired) != 1 {
		t.Errorf("fired %v, want one: it disarmed the others", fired)
	}
	for id := range nodes {
		if nodes[id].Armed() {
			t.Errorf("slot %d is still armed", id)
		}
	}
}

func TestRearmWhileFiring(t *testing.T) {
	w, _ := newWheel(2)
	w.Arm(1, 5)
	w.Arm(2, 5)
	n := 0
	w.Advance(5, 10, func(uint32) { n++; w.Arm(1, 9); w.Arm(2, 9) })
	if n != 1 {
		t.Errorf("%d fired at 5, want 1: the first call armed both for later", n)
	}
	if next, ok := w.Next(); !ok || next != 9 {
		t.Errorf("Next = %d, %v, want 9", next, ok)
	}
}

func TestArmDoesNotAllocate(t *testing.T) {
	w, _ := newWheel(10)
	if n := testing.AllocsPerRun(100, func() { w.Arm(1, 7); w.Arm(2, 7); w.Disarm(1); w.Disarm(2) }); n != 0 {
		t.Errorf("Arm and Disarm allocate %v times, want 0", n)
	}
}

func BenchmarkArm(b *testing.B) {
	w, _ := newWheel(10_000)
	i := uint32(0)
	for b.Loop() {
		w.Arm(1+i%10_000, Tick(1+i%1500))
		i++
	}
}
