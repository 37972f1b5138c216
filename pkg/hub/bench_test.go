package hub

import (
	"context"
	"fmt"
	"holdfast/pkg/publish"
	"strconv"
	"strings"
	"testing"
	"time"
)

// benchBatch returns a batch of n items of 100 bytes on one channel.
func benchBatch(channel string, n int) *Batch {
	b := &Batch{Deliveries: make([]Delivery, n), Done: func(*Batch) {}}
	for i := range b.Deliveries {
		b.Deliveries[i].Item = stream(channel, string(make([]byte, 100)))
	}
	return b
}

// BenchmarkWalk is what the hub itself takes to have an item delivered, without the write.
func BenchmarkWalk(b *testing.B) {
	for _, conns := range []int{1000, 15_000} {
		for _, items := range []int{1, 8} {
			b.Run(fmt.Sprintf("conns=%d/waiting=%d", conns, items), func(b *testing.B) {
				dir, loops := newQueueLoops(1, 1<<20, []Encoder{plain}, func(int) Sink { return noSink{} })
				for i := range conns {
					join(loops[0].members, uint32(i+1), []byte("a"), 0, 0)
				}
				batch := benchBatch("a", items)
				b.ReportAllocs()
				for b.Loop() {
					if err := dir.Publish(context.Background(), batch); err != nil {
						b.Fatal(err)
					}
					loops[0].settle()
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*conns*items), "ns/delivery")
			})
		}
	}
}

// BenchmarkPublishToOne is an item of a channel with one subscriber: nothing is shared between deliveries.
func BenchmarkPublishToOne(b *testing.B) {
	for _, channels := range []int{1, 1000} {
		b.Run("channels="+strconv.Itoa(channels), func(b *testing.B) {
			dir, loops := newQueueLoops(1, 1<<20, []Encoder{plain}, func(int) Sink { return noSink{} })
			var batches []*Batch
			for i := range channels {
				name := "channel " + strconv.Itoa(i)
				join(loops[0].members, uint32(i+1), []byte(name), 0, 0)
				batches = append(batches, benchBatch(name, 1))
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if err := dir.Publish(context.Background(), batches[i%channels]); err != nil {
					b.Fatal(err)
				}
				loops[0].settle()
			}
		})
	}
}

func BenchmarkJoinLeave(b *testing.B) {
	_, loops := newQueueLoops(1, 1<<20, []Encoder{plain}, func(int) Sink { return noSink{} })
	m := loops[0].members
	var names [1000][]byte
	for i := range names {
		names[i] = []byte("channel " + strconv.Itoa(i))
		join(m, 1, names[i], 0, 0)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		m.Leave(join(m, 2, names[i%len(names)], 0, 0))
	}
}

// BenchmarkHistory is what publishing takes without and with a history that is full: an item with three formats of 100 bytes
// goes to two loops, one with one subscriber and one without. The batches are new ones, as those of the control socket.
func BenchmarkHistory(b *testing.B) {
	content := strings.Repeat("x", 100)
	item := publish.Item{
		Channel: "channel 1", Formats: publish.HTTPStream | publish.WSMessage | publish.HTTPResponse,
		Stream:   publish.Stream{Content: content + "\n"},
		Message:  publish.Message{Content: content},
		Response: publish.Response{Body: content},
	}
	for _, n := range []int{1, 64} {
		for _, on := range []bool{false, true} {
			b.Run(fmt.Sprintf("batch=%d/on=%v", n, on), func(b *testing.B) {
				dir, loops := newQueueLoops(2, 1<<30, []Encoder{plain}, func(int) Sink { return noSink{} })
				if on {
					dir.KeepHistory(HistoryOptions{Rules: []HistoryRule{{Pattern: "*", Items: 100, TTL: time.Hour}}, Memory: 64 << 20})
				}
				join(loops[0].members, 1, []byte("channel 1"), 0, 0)
				b.ReportAllocs()
				for b.Loop() {
					batch := &Batch{Deliveries: make([]Delivery, n), Done: func(*Batch) {}}
					for i := range batch.Deliveries {
						batch.Deliveries[i].Item = item
					}
					if err := dir.Publish(context.Background(), batch); err != nil {
						b.Fatal(err)
					}
					loops[0].settle()
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/item")
			})
		}
	}
}

// BenchmarkResume is a connection that comes back to a channel of 100 items and has missed some, and leaves again.
func BenchmarkResume(b *testing.B) {
	for _, missed := range []int{0, 5, 100} {
		b.Run("missed="+strconv.Itoa(missed), func(b *testing.B) {
			k := newKeeper(b, plenty, HistoryRule{Pattern: "*", Items: 100})
			var ids []string
			for range 101 {
				ids = append(ids, k.publish("a", strings.Repeat("x", 100))...)
			}
			m := k.loops[0].members
			join(m, 1, []byte("a"), 0, 0)
			names := [][]byte{[]byte("a")}
			from := From{LastID: []byte(ids[len(ids)-1-missed])}
			var items []*publish.Item
			b.ReportAllocs()
			for b.Loop() {
				r, _ := m.Resume(2, names, 0, 0, from, items[:0])
				items = r.Items
				m.Leave(r.Subs)
			}
			if len(items) != missed {
				b.Fatalf("Resume gives %d items, want %d", len(items), missed)
			}
		})
	}
}
