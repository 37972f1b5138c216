package hub

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"holdfast/pkg/publish"
)

// Of thousands of kept items any is found again: by an id of its publisher's, by one of the
// history's, by a position.
func TestEveryKeptIDIsFound(t *testing.T) {
	const items, kept = 6000, 5000
	k := newKeeper(t, plenty, HistoryRule{Pattern: "*", Items: kept})
	ids := make([]string, items)
	for i := range items {
		if i%2 == 0 {
			ids[i] = "k" + strconv.Itoa(i)
			k.publishID("a", ids[i], strconv.Itoa(i))
		} else {
			ids[i] = k.publish("a", strconv.Itoa(i))[0]
		}
	}
	for i := items - kept - 1; i < items; i += 97 {
		got, gap := k.resume(From{LastID: []byte(ids[i])}, "a")
		first, _, _ := strings.Cut(got, " ")
		if gap || i+1 < items && first != strconv.Itoa(i+1) {
			t.Errorf("after item %d (%s) comes %q, gap %v", i, ids[i], first, gap)
		}
	}
	for i := range items - kept - 1 {
		if got, gap := k.resume(
			From{LastID: []byte(ids[i])},
			"a",
		); !gap ||
			!strings.HasPrefix(got, strconv.Itoa(items-kept)+" ") {
			t.Fatalf("item %d is dropped: gap %v, %.20q", i, gap, got)
		}
	}
	k.checkLog()
}

// What a client has had is not sure when one of the items of its id was dropped: then there is a
// gap.
func TestDroppedAndRepeatedIDs(t *testing.T) {
	k := newKeeper(t, plenty, HistoryRule{Pattern: "*", Items: 2})
	k.publishID("a", "7", "one")
	k.publishID("a", "8", "two")
	k.publishID("a", "7", "three")
	k.want("7", "two three", true, "a") // it may have had the first only, and that is the mark
	k.want("8", "three", false, "a")
	k.publishID("a", "9", "four")
	k.publishID("a", "9", "five")
	k.want("7", "four five", true, "a")
	k.want("9", "five", false, "a")
	k.publishID("a", "9", "six")
	k.publishID("b", "9", "other")
	k.want("9", "five six other", true, "a", "b")
	k.want("9", "", false, "b")
	k.publishID("a", "7", "seven") // all before it are dropped
	k.want("7", "six seven", true, "a")
}

// The ids of dropped items are forgotten one day.
func TestDroppedIDsAreBounded(t *testing.T) {
	k := newKeeper(t, 16<<10, HistoryRule{Pattern: "*", Items: 1})
	h := k.dir.history
	for i := range 1000 {
		k.publishID("a", "k"+strconv.Itoa(i%300), "x")
		if n := len(h.ids.spans.m); n > h.ids.most+1 || len(h.ids.dropped) > h.ids.most {
			t.Fatalf(
				"%d ids are known after %d items, and at most %d are remembered",
				n,
				i,
				h.ids.most,
			)
		}
	}
}

// The skip list agrees with a plain list, whatever comes and goes.
func TestBlocksModel(t *testing.T) {
	for seed := range uint64(20) {
		rnd := rand.New(rand.NewPCG(seed, 3))
		k := newKeeper(t, plenty, HistoryRule{Pattern: "*", Items: 1 + rnd.IntN(1000)})
		h := k.dir.history
		for range 4000 {
			it := stream("a", "x")
			if rnd.IntN(200) == 0 {
				it.Formats |= publish.HTTPResponse
			}
			publishAll(t, k.dir, it)
			if rnd.IntN(500) == 0 {
				for c := h.channels.At(1); c.items > 0 && rnd.IntN(200) > 0; {
					h.dropOldest(1)
				}
			}
			if rnd.IntN(20) == 0 {
				checkBlocks(t, h, 1+rnd.Uint64N(h.seq+1), 1+rnd.IntN(1200))
			}
		}
	}
}

// checkBlocks compares what seek, next and latestFrom find in the first channel with what a look at
// each entry finds.
func checkBlocks(t *testing.T, h *history, from uint64, n int) {
	t.Helper()
	c := h.channels.At(1)
	var all []uint32
	for id := c.oldest; id != 0; id = h.entries.At(id).newer {
		all = append(all, id)
	}
	wantSeek, wantNext := uint32(0), uint32(0)
	for _, id := range all {
		e := h.entries.At(id)
		if wantSeek == 0 && e.seq >= from {
			wantSeek = id
		}
		if wantNext == 0 && e.seq >= from && e.sends&publish.HTTPResponse != 0 {
			wantNext = id
		}
	}
	looks := 0
	got := h.seek(c, func(e *entry) bool { looks++; return e.seq >= from })
	if next := h.next(
		c,
		got,
		publish.HTTPResponse,
	); got != wantSeek || next != wantNext ||
		looks > blockLen+12 {
		t.Fatalf(
			"of %d entries seek(%d) finds %d after %d looks, next %d; want %d and %d",
			len(all),
			from,
			got,
			looks,
			next,
			wantSeek,
			wantNext,
		)
	}
	want := uint64(0)
	if len(all) > n {
		want = h.entries.At(all[len(all)-n]).seq
	}
	if got := h.latestFrom(c, n); got != want {
		t.Fatalf("the %d newest of %d begin with %d, want %d", n, len(all), got, want)
	}
}

// BenchmarkPollOfNothingKnown is a poll of 20 full channels with an id that nobody knows: it holds
// the order lock, for which all publishers wait.
func BenchmarkPollOfNothingKnown(b *testing.B) {
	for _, items := range []int{100, 10_000} {
		for name, format := range map[string]publish.Format{"found": publish.HTTPStream, "none": publish.HTTPResponse} {
			b.Run(fmt.Sprintf("items=%d/%s", items, name), func(b *testing.B) {
				k := newKeeper(b, 1<<30, HistoryRule{Pattern: "*", Items: items})
				var names [][]byte
				for i := range 20 {
					names = append(names, []byte(strconv.Itoa(i)))
					for range items {
						k.publish(strconv.Itoa(i), "x")
					}
				}
				m := k.loops[0].members
				b.ReportAllocs()
				for b.Loop() {
					r, ok := m.Poll(1, names, 0, 0, From{LastID: []byte("nosuch")}, format)
					if !ok || !r.Gap || (len(r.Items) > 0) != (name == "found") {
						b.Fatalf("Poll = %+v, %v", r, ok)
					}
					m.Leave(r.Subs)
				}
			})
		}
	}
}
