package hub

import "time"

// clock is the time since the Directory was made. It is read with every batch of items and every slice of a walk, and costs half of
// what the calendar's time does.
func (d *Directory) clock() time.Duration { return time.Since(d.started) }

// timeBlock counts how long the items of the block, which has just been handed to n connections, have been on their way. The
// clock is read once for a slice of a walk, and items that came together are counted together.
func (m *Members) timeBlock(w *walk, n int) {
	m.stepAt = m.dir.clock()
	if n == 0 {
		return
	}
	came, items := time.Duration(0), 0
	for i, in := range w.inBlock {
		if !in {
			continue
		}
		if at := w.items[i].batch.came; at != came {
			m.count(came, n*items)
			came, items = at, 0
		}
		items++
	}
	m.count(came, n*items)
}

// timeEach is timeBlock for items that were handed over one by one: m.handed has their numbers of before.
func (m *Members) timeEach(w *walk) {
	m.stepAt = m.dir.clock()
	for i, d := range w.items {
		m.count(d.batch.came, w.handed[i]-m.handed[i])
	}
}

func (m *Members) count(came time.Duration, deliveries int) {
	if deliveries > 0 {
		m.stats.Latency.Add(m.stepAt-came, deliveries)
	}
}
