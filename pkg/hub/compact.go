package hub

import "reflect"

// compactMap is a map that gives its memory back. When it has shrunk to a quarter of its peak a new
// one takes its place, to which the entries move a few at a time, with each further change: no
// change takes long, however large the map was. A table of Go grows in small pieces by itself.
type compactMap[K comparable, V any] struct {
	m    map[K]V
	old  map[K]V // entries that have not moved yet; nil: all have
	peak int

	// The place in old: a range would begin anew each time, and look for the last few for long.
	at *reflect.MapIter
}

const (
	compactMin = 128 // a smaller map is not worth it
	compactRun = 32  // entries that move with one change
)

func (c *compactMap[K, V]) get(k K) (V, bool) {
	v, ok := c.m[k]
	if !ok && c.old != nil {
		v, ok = c.old[k]
	}
	return v, ok
}

// getBytes is get for a name as bytes, of which it makes no copy.
func getBytes[V any](c *compactMap[string, V], name []byte) (V, bool) {
	v, ok := c.m[string(name)]
	if !ok && c.old != nil {
		v, ok = c.old[string(name)]
	}
	return v, ok
}

func (c *compactMap[K, V]) len() int { return len(c.m) + len(c.old) }

func (c *compactMap[K, V]) set(k K, v V) {
	if c.m == nil {
		c.m = map[K]V{}
	}
	c.m[k] = v
	if c.old != nil {
		delete(c.old, k)
		c.move()
	}
	c.peak = max(c.peak, c.len())
}

func (c *compactMap[K, V]) delete(k K) {
	delete(c.m, k)
	if c.old != nil {
		delete(c.old, k)
		c.move()
		return
	}
	if c.peak < compactMin || len(c.m) >= c.peak/4 {
		return
	}
	c.old, c.m, c.peak = c.m, map[K]V{}, len(c.m)
	c.at = reflect.ValueOf(c.old).MapRange()
	c.move()
}

// move moves some entries.
func (c *compactMap[K, V]) move() {
	var k K
	key := reflect.ValueOf(&k).Elem()
	for range compactRun {
		if len(c.old) == 0 || !c.at.Next() {
			c.old, c.at = nil, nil
			return
		}
		key.SetIterKey(c.at)
		c.m[k] = c.old[k]
		delete(c.old, k)
	}
}
