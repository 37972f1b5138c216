package control

import (
	"reflect"

	"holdfast/pkg/hub"
	"holdfast/pkg/publish"
	"holdfast/pkg/wire"
)

// maxBatch is the number of items that are handed over together at most.
const maxBatch = 512

// deliverySize is what an item costs besides its bytes on the wire.
var deliverySize = int(reflect.TypeFor[hub.Delivery]().Size())

// batch is a run of one client's items on its way through the Publisher. The client's reader fills it; from the call of
// Publish until Done it belongs to the Publisher.
type batch struct {
	hub.Batch
	client *client
	flags  wire.Flags
	runs   []run // the ids of the deliveries, in order
	charge int   // bytes that count against the client's bound until Done
}

// run is n consecutive request ids.
type run struct {
	first uint64
	n     int
}

// newBatch makes room for items deliveries. They are never moved, for the Publisher keeps pointers to them.
func newBatch(c *client, flags wire.Flags, items int) *batch {
	items = max(1, min(items, maxBatch))
	b := &batch{client: c, flags: flags, charge: items * deliverySize}
	b.Deliveries = make([]hub.Delivery, 0, items)
	b.Done = func(*hub.Batch) { b.client.done(b) }
	return b
}

func (b *batch) full() bool { return len(b.Deliveries) == cap(b.Deliveries) }

// next is the item of the next delivery, to be parsed into; take keeps it.
func (b *batch) next() *publish.Item {
	n := len(b.Deliveries)
	return &b.Deliveries[:n+1][n].Item
}

// take keeps the item that next gave out, published as id with size bytes.
func (b *batch) take(id uint64, size int) {
	b.Deliveries = b.Deliveries[:len(b.Deliveries)+1]
	b.charge += size
	if last := len(b.runs) - 1; last >= 0 && b.runs[last].first+uint64(b.runs[last].n) == id {
		b.runs[last].n++
		return
	}
	b.runs = append(b.runs, run{id, 1})
}

// appendAcks appends an ack for each delivery. err refuses them all; nil accepts them with their receivers, which are final
// when counted is true and are left out otherwise.
func (b *batch) appendAcks(acks []wire.Ack, err *wire.Error, counted bool) []wire.Ack {
	i := 0
	for _, r := range b.runs {
		for k := range r.n {
			a := wire.Ack{ID: r.first + uint64(k), Accepted: err == nil, Err: err}
			if counted {
				a.Receivers = b.Deliveries[i].Receivers()
			}
			acks = append(acks, a)
			i++
		}
	}
	return acks
}
