package hub

import (
	"context"
	"fmt"
	"strconv"
	"testing"
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
					loops[0].members.Join(uint32(i+1), []byte("a"), 0, 0)
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
				loops[0].members.Join(uint32(i+1), []byte(name), 0, 0)
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
		m.Join(1, names[i], 0, 0)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		m.Leave(m.Join(2, names[i%len(names)], 0, 0))
	}
}
