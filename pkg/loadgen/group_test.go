package loadgen

import (
	"slices"
	"testing"

	"holdfast/pkg/wire"
)

// An item counts once, when every pushd has answered: with the receivers of all, and as refused if
// one refused it.
func TestAnItemToAGroupIsAnsweredOnce(t *testing.T) {
	var got []wire.Ack
	p := &groupPublisher{
		all: make([]publisher, 2), waiting: make(map[uint64]*groupAck),
		onAck: func(_ uint64, a wire.Ack) { got = append(got, a) },
	}
	full := &wire.Error{Text: "full"}
	p.ack(1, wire.Ack{Accepted: true, Receivers: 3})
	p.ack(2, wire.Ack{Err: full})
	p.ack(1, wire.Ack{Accepted: true, Receivers: 4})
	p.ack(2, wire.Ack{Accepted: true, Receivers: 5})
	want := []wire.Ack{{Accepted: true, Receivers: 7}, {Receivers: 5, Err: full}}
	if !slices.Equal(got, want) || len(p.waiting) != 0 {
		t.Errorf("acks = %+v, %d waiting, want %+v and none", got, len(p.waiting), want)
	}
}
