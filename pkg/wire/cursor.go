package wire

import (
	"encoding/binary"
	"math"
	"unsafe"
)

// maxDepth is how deep arrays and maps may be nested, in any message.
const maxDepth = 16

// cursor reads msgpack values off b from i on. The first value that is not what was asked for sets problem; from
// then on every read returns a zero value, so that a caller reads all its fields and looks once.
type cursor struct {
	b       []byte
	i       int
	problem string // names the field, or says what is wrong; "" while all is well
}

// alias returns b as a string that shares its memory. It is the only place of the package that does so; callers
// guarantee that b is never written again (Reader gives its bytes out once).
func alias(b []byte) string {
	return unsafe.String(unsafe.SliceData(b), len(b))
}

func (c *cursor) fail(problem string) {
	if c.problem == "" {
		c.problem = problem
	}
}

// length reads a big-endian number of size bytes at i+1 and returns it with the offset behind it. When the bytes
// end before that, the offset is beyond the end.
func (c *cursor) length(size int) (n, next int) {
	next = c.i + 1 + size
	if next > len(c.b) {
		return 0, len(c.b) + 1
	}
	switch size {
	case 1:
		return int(c.b[c.i+1]), next
	case 2:
		return int(binary.BigEndian.Uint16(c.b[c.i+1:])), next
	}
	return int(binary.BigEndian.Uint32(c.b[c.i+1:])), next
}

// text reads a str or a bin as a string that aliases b. nil is the empty string.
func (c *cursor) text(field string) string {
	if c.problem != "" || c.i >= len(c.b) {
		c.fail(field)
		return ""
	}
	var n, start int
	switch t := c.b[c.i]; {
	case t&^0x1f == codeFixStr:
		n, start = int(t&0x1f), c.i+1
	case t == codeStr8 || t == codeBin8:
		n, start = c.length(1)
	case t == codeStr16 || t == codeBin16:
		n, start = c.length(2)
	case t == codeStr32 || t == codeBin32:
		n, start = c.length(4)
	case t == codeNil:
		c.i++
		return ""
	default:
		c.fail(field)
		return ""
	}
	if n > len(c.b)-start {
		c.fail(field)
		return ""
	}
	c.i = start + n
	return alias(c.b[start:c.i])
}

// integer reads any msgpack integer that fits an int. nil is 0.
func (c *cursor) integer(field string) int {
	if c.problem != "" || c.i >= len(c.b) {
		c.fail(field)
		return 0
	}
	switch t := c.b[c.i]; {
	case t <= codePosFixMax:
		c.i++
		return int(t)
	case t >= codeNegFixMin:
		c.i++
		return int(int8(t))
	case t == codeNil:
		c.i++
		return 0
	case t >= codeInt8 && t <= codeInt64:
		size := 1 << (t - codeInt8)
		if size >= len(c.b)-c.i {
			break
		}
		v := uint64(0)
		for _, x := range c.b[c.i+1 : c.i+1+size] {
			v = v<<8 | uint64(x)
		}
		c.i += 1 + size
		shift := 64 - 8*size
		return int(int64(v<<shift) >> shift)
	case t >= codeUint8 && t <= codeUint64:
		if v := c.unsigned(field); v <= math.MaxInt {
			return int(v)
		}
	}
	c.fail(field)
	return 0
}

// unsigned reads a msgpack integer that is not negative.
func (c *cursor) unsigned(field string) uint64 {
	if c.problem != "" || c.i >= len(c.b) {
		c.fail(field)
		return 0
	}
	t := c.b[c.i]
	if t <= codePosFixMax {
		c.i++
		return uint64(t)
	}
	if t >= codeInt8 && t <= codeInt64 {
		n := c.integer(field)
		if n < 0 {
			c.fail(field)
			return 0
		}
		return uint64(n)
	}
	if t < codeUint8 || t > codeUint64 {
		c.fail(field)
		return 0
	}
	size := 1 << (t - codeUint8)
	if size >= len(c.b)-c.i {
		c.fail(field)
		return 0
	}
	v := uint64(0)
	for _, x := range c.b[c.i+1 : c.i+1+size] {
		v = v<<8 | uint64(x)
	}
	c.i += 1 + size
	return v
}

func (c *cursor) boolean(field string) bool {
	if c.problem == "" && c.i < len(c.b) {
		switch c.b[c.i] {
		case codeTrue:
			c.i++
			return true
		case codeFalse:
			c.i++
			return false
		}
	}
	c.fail(field)
	return false
}

// array reads the head of an array. A count of elements that the bytes left cannot hold is a problem, so the count may
// be trusted as a bound.
func (c *cursor) array(field string) int {
	return c.count(field, codeFixArray, codeArray16, 1)
}

// optionalArray is array, with nil as an empty one.
func (c *cursor) optionalArray(field string) int {
	if c.isNil() {
		c.i++
		return 0
	}
	return c.array(field)
}

// optionalMap reads the head of a map or nil. Its count of pairs may be trusted as that of array.
func (c *cursor) optionalMap(field string) int {
	if c.isNil() {
		c.i++
		return 0
	}
	return c.count(field, codeFixMap, codeMap16, 2)
}

// count reads the head of a collection whose elements are values values each. fixed and wide are the first bytes of its
// short form and of that with 16 bits; that with 32 bits is the next one.
func (c *cursor) count(field string, fixed, wide byte, values int) int {
	if c.problem != "" || c.i >= len(c.b) {
		c.fail(field)
		return 0
	}
	var n, next int
	switch t := c.b[c.i]; {
	case t&^0x0f == fixed:
		n, next = int(t&0x0f), c.i+1
	case t == wide:
		n, next = c.length(2)
	case t == wide+1:
		n, next = c.length(4)
	default:
		c.fail(field)
		return 0
	}
	if values*n > len(c.b)-next {
		c.fail(field)
		return 0
	}
	c.i = next
	return n
}

func (c *cursor) isNil() bool {
	return c.problem == "" && c.i < len(c.b) && c.b[c.i] == codeNil
}

// skip passes over n values of any kind.
func (c *cursor) skip(n int) {
	for ; n > 0 && c.problem == ""; n-- {
		next, ok := skipValue(c.b, c.i, maxDepth)
		if !ok {
			c.fail("msgpack")
			return
		}
		c.i = next
	}
}
