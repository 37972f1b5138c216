package slab

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func TestSlabAgainstMap(t *testing.T) {
	type rec struct{ v uint64 }
	var s Slab[rec]
	model := map[uint32]uint64{}
	rnd := rand.New(rand.NewPCG(1, 2))
	for step := range 200_000 {
		grow := step%40_000 < 20_000 // waves, so that pages come and go
		if len(model) == 0 || rnd.IntN(10) < 7 == grow {
			id, r := s.Alloc()
			if id == 0 {
				t.Fatal("Alloc gave the number 0")
			}
			if _, used := model[id]; used {
				t.Fatalf("Alloc gave %d, which is in use", id)
			}
			if *r != (rec{}) {
				t.Fatalf("Alloc gave a record that is not zero: %v", *r)
			}
			r.v = rnd.Uint64()
			model[id] = r.v
			continue
		}
		for id, v := range model {
			if got := s.At(id).v; got != v {
				t.Fatalf("record %d = %d, want %d", id, got, v)
			}
			s.Free(id)
			delete(model, id)
			break
		}
	}
	if s.Len() != len(model) {
		t.Errorf("Len = %d, want %d", s.Len(), len(model))
	}
	var want []uint32
	for id := range model {
		want = append(want, id)
	}
	slices.Sort(want)
	if got := slices.Collect(s.All()); !slices.Equal(got, want) {
		t.Errorf("All yields %d numbers, want %d, or in another order", len(got), len(want))
	}
}

func TestEmptyPagesAreGivenBack(t *testing.T) {
	var s Slab[[32]byte]
	var ids []uint32
	for range 100 * PageLen {
		id, _ := s.Alloc()
		ids = append(ids, id)
	}
	if s.Pages() < 100 {
		t.Fatalf("Pages = %d after %d records", s.Pages(), len(ids))
	}
	for _, id := range ids {
		s.Free(id)
	}
	if s.Len() != 0 || s.Pages() > 1 {
		t.Errorf("Len = %d, Pages = %d after all were freed, want 0 and at most the spare one", s.Len(), s.Pages())
	}
	if id, _ := s.Alloc(); id != 1 {
		t.Errorf("Alloc on an emptied slab = %d, want 1", id)
	}
}

func TestAllAllowsFreeing(t *testing.T) {
	var s Slab[uint32]
	for range 3 * PageLen {
		s.Alloc()
	}
	n := 0
	for id := range s.All() {
		s.Free(id)
		n++
	}
	if n != 3*PageLen || s.Len() != 0 {
		t.Errorf("yielded %d of %d, %d left", n, 3*PageLen, s.Len())
	}
}

func TestAllocAndFreeDoNotAllocate(t *testing.T) {
	var s Slab[[32]byte]
	id, _ := s.Alloc()
	s.Free(id)
	if n := testing.AllocsPerRun(1000, func() {
		id, _ := s.Alloc()
		s.Free(id)
	}); n != 0 {
		t.Errorf("Alloc and Free at a page's edge allocate %v times, want 0", n)
	}
}

func BenchmarkAllocFree(b *testing.B) {
	var s Slab[[32]byte]
	for range 10_000 {
		s.Alloc()
	}
	b.ReportAllocs()
	for b.Loop() {
		id, _ := s.Alloc()
		s.Free(id)
	}
}
