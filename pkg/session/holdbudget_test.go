package session

import (
	"strings"
	"testing"

	"holdfast/pkg/exchange"
	"holdfast/pkg/grip"
)

// What a held request keeps in memory is what the budget is charged.
func TestHoldCostCountsChannelsAndMeta(t *testing.T) {
	in := &grip.Instruct{Meta: map[string]string{"user": strings.Repeat("u", 4000)}}
	for range 20 {
		in.Channels = append(in.Channels, grip.Channel{Name: strings.Repeat("c", 255), PrevID: strings.Repeat("p", 1024)})
	}
	again := &exchange.Again{Body: make([]byte, 7000)}
	cost := holdCost(&exchange.Plan{Instruct: in, Head: &exchange.Head{}, Body: make([]byte, 5000), Again: again})
	if least := 20*(255+1024) + 4000 + 5000 + 7000; cost < least {
		t.Errorf("charged %d B for at least %d B", cost, least)
	}
}

func TestHoldBudget(t *testing.T) {
	b := NewHoldBudget(100)
	if !b.take(60) || b.take(41) || !b.take(40) || b.Used() != 100 {
		t.Errorf("%d are used", b.Used())
	}
	if b.give(60); b.Used() != 40 || !b.take(60) {
		t.Errorf("%d are used", b.Used())
	}
}
