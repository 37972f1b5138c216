package session

import (
	"sync/atomic"

	"holdfast/pkg/exchange"
)

// HoldBudget bounds the bytes that requests held for a response take: what they are answered with in the end, and what is needed to
// send them to their backend again. It is safe for all goroutines.
type HoldBudget struct {
	max  int64
	used atomic.Int64
}

// NewHoldBudget returns a HoldBudget of max bytes.
func NewHoldBudget(max int64) *HoldBudget { return &HoldBudget{max: max} }

// Used returns the bytes that are taken now.
func (b *HoldBudget) Used() int64 { return b.used.Load() }

// take takes n bytes, if there are as many.
func (b *HoldBudget) take(n int) bool {
	if b.used.Add(int64(n)) > b.max {
		b.used.Add(int64(-n))
		return false
	}
	return true
}

// add takes n more bytes for a hold that is there, even where that are more than there are: an id,
// whose length is bounded.
func (b *HoldBudget) add(n int) { b.used.Add(int64(n)) }

func (b *HoldBudget) give(n int) { b.used.Add(int64(-n)) }

const (
	holdOverhead    = 512 // bytes charged for a held request besides its texts
	fieldOverhead   = 32  // for a field of a header, or a pair of meta
	channelOverhead = 40
)

// holdCost is about what a held response takes.
func holdCost(plan *exchange.Plan) int {
	n := holdOverhead + len(plan.Body)
	fields := func(all []exchange.Field) {
		for _, f := range all {
			n += fieldOverhead + len(f.Name) + len(f.Value)
		}
	}
	fields(plan.Head.Fields)
	for _, ch := range plan.Instruct.Channels { // they are kept twice
		n += 2 * (channelOverhead + len(ch.Name) + len(ch.PrevID))
	}
	for name, value := range plan.Instruct.Meta {
		n += fieldOverhead + len(name) + len(value)
	}
	if plan.Again != nil {
		n += len(plan.Again.Body) + len(plan.Again.Request.Target)
		fields(plan.Again.Request.Fields)
	}
	return n
}
