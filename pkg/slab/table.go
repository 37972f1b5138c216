// Package slab keeps fixed-size records in pages and names them by number.
//
// A million records of a loop are a few thousand pages instead of a million objects: with a record type that holds no
// pointers the collector has nothing to look at, a number is half the size of a pointer, and a page whose last record
// left is given back. Nothing here locks; a Table or Slab belongs to one goroutine.
package slab

import (
	"iter"
	"slices"
)

// PageLen is the number of records on a page. A record of 32 bytes makes a page of 16 KiB.
const PageLen = 512

const (
	pageShift = 9
	pageMask  = PageLen - 1
)

// Table holds records at numbers that its user chooses, usually those of a Slab kept elsewhere. The zero value is empty
// and ready. Pages appear with their first record and go with their last.
type Table[T any] struct {
	pages []*[PageLen]T
	used  []uint16    // records in use on each page
	spare *[PageLen]T // one empty page kept, so that a record coming and going at a page's edge costs nothing
	n     int         // records in use
}

// Put takes the record numbered id into use and returns it, zeroed. The record must not be in use.
func (t *Table[T]) Put(id uint32) *T {
	p := int(id >> pageShift)
	for p >= len(t.pages) {
		t.pages = append(t.pages, nil)
		t.used = append(t.used, 0)
	}
	if t.pages[p] == nil {
		if t.pages[p], t.spare = t.spare, nil; t.pages[p] == nil {
			t.pages[p] = new([PageLen]T)
		}
	}
	t.used[p]++
	t.n++
	rec := &t.pages[p][id&pageMask]
	var zero T
	*rec = zero
	return rec
}

// At returns the record numbered id, which must be in use. The pointer is good until the record is dropped.
func (t *Table[T]) At(id uint32) *T { return &t.pages[id>>pageShift][id&pageMask] }

// Find returns the record numbered id, which need not be in use: then it is nil, or a zero record.
func (t *Table[T]) Find(id uint32) *T {
	if p := int(id >> pageShift); p >= len(t.pages) || t.pages[p] == nil {
		return nil
	}
	return t.At(id)
}

// Drop ends the use of the record numbered id.
func (t *Table[T]) Drop(id uint32) {
	p := int(id >> pageShift)
	var zero T
	t.pages[p][id&pageMask] = zero // so that a record with pointers keeps nothing alive
	t.n--
	if t.used[p]--; t.used[p] > 0 {
		return
	}
	t.spare, t.pages[p] = t.pages[p], nil
	last := len(t.pages)
	for last > 0 && t.pages[last-1] == nil {
		last--
	}
	t.pages, t.used = shrink(t.pages[:last]), shrink(t.used[:last])
}

// From yields the records from number id on, page by page, with those between them that are not in use and therefore
// zero. Records may be dropped while it runs.
func (t *Table[T]) From(id uint32) iter.Seq2[uint32, *T] {
	return func(yield func(uint32, *T) bool) {
		for p := int(id >> pageShift); p < len(t.pages); p++ {
			page := t.pages[p]
			for ; page != nil && int(id>>pageShift) == p; id++ {
				if !yield(id, &page[id&pageMask]) {
					return
				}
			}
			id = uint32(p+1) << pageShift
		}
	}
}

// Len returns the number of records in use.
func (t *Table[T]) Len() int { return t.n }

// Pages returns the number of pages held, the spare one included.
func (t *Table[T]) Pages() int {
	n := 0
	for _, p := range t.pages {
		if p != nil {
			n++
		}
	}
	if t.spare != nil {
		n++
	}
	return n
}

// shrink moves s to a smaller array when it fills less than a quarter of its own.
func shrink[E any](s []E) []E {
	if cap(s) > 64 && len(s) < cap(s)/4 {
		return slices.Clone(s)
	}
	clear(s[len(s):cap(s)])
	return s
}
