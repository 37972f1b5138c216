package stats

// Top keeps the first of many values in an order, without keeping the others.
type Top[T any] struct {
	before func(a, b *T) bool
	max    int
	heap   []T // the last of them in front
}

// NewTop returns a Top of at most max values, 1 or more. before reports whether a comes before b.
func NewTop[T any](max int, before func(a, b *T) bool) *Top[T] {
	return &Top[T]{before: before, max: max}
}

// Add offers a value.
func (t *Top[T]) Add(v T) {
	if len(t.heap) < t.max {
		t.heap = append(t.heap, v)
		t.up(len(t.heap) - 1)
		return
	}
	if t.before(&v, &t.heap[0]) {
		t.heap[0] = v
		t.down(len(t.heap))
	}
}

// Take returns the values in their order and empties t.
func (t *Top[T]) Take() []T {
	for n := len(t.heap) - 1; n > 0; n-- {
		t.heap[0], t.heap[n] = t.heap[n], t.heap[0]
		t.down(n)
	}
	out := t.heap
	t.heap = nil
	return out
}

func (t *Top[T]) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if !t.before(&t.heap[parent], &t.heap[i]) {
			return
		}
		t.heap[i], t.heap[parent] = t.heap[parent], t.heap[i]
		i = parent
	}
}

// down moves the first of n values to its place.
func (t *Top[T]) down(n int) {
	for i := 0; ; {
		last := i
		for child := 2*i + 1; child <= 2*i+2 && child < n; child++ {
			if t.before(&t.heap[last], &t.heap[child]) {
				last = child
			}
		}
		if last == i {
			return
		}
		t.heap[i], t.heap[last] = t.heap[last], t.heap[i]
		i = last
	}
}
