package wire

import (
	"encoding/binary"
)

// skipValue returns the offset behind the msgpack value at b[i]. It fails when the value is cut off, is nested deeper
// than depth, or begins with the one byte that msgpack never uses. Its work is bounded by the length of b.
func skipValue(b []byte, i, depth int) (next int, ok bool) {
	if i >= len(b) {
		return 0, false
	}
	t := b[i]
	switch {
	case t <= codePosFixMax || t >= codeNegFixMin:
		return i + 1, true
	case t&^0x1f == codeFixStr:
		return skipBytes(b, i+1, uint64(t&0x1f))
	case t&^0x0f == codeFixMap:
		return skipValues(b, i+1, 2*uint64(t&0x0f), depth)
	case t&^0x0f == codeFixArray:
		return skipValues(b, i+1, uint64(t&0x0f), depth)
	}
	s := shapes[t-codeNil]
	if s.kind == invalid || int(s.size) > len(b)-i-1 {
		return 0, false
	}
	n := uint64(0)
	start := i + 1 + int(s.size)
	switch s.size {
	case 1:
		n = uint64(b[i+1])
	case 2:
		n = uint64(binary.BigEndian.Uint16(b[i+1:]))
	case 4:
		n = uint64(binary.BigEndian.Uint32(b[i+1:]))
	}
	switch s.kind {
	case countsValues:
		return skipValues(b, start, n, depth)
	case countsPairs:
		return skipValues(b, start, 2*n, depth)
	}
	return skipBytes(b, start, n+uint64(s.extra))
}

func skipBytes(b []byte, i int, n uint64) (next int, ok bool) {
	if n > uint64(len(b)-i) {
		return 0, false
	}
	return i + int(n), true
}

func skipValues(b []byte, i int, n uint64, depth int) (next int, ok bool) {
	if depth == 0 || n > uint64(len(b)-i) { // every value has a byte at least
		return 0, false
	}
	for ; n > 0; n-- {
		if i, ok = skipValue(b, i, depth-1); !ok {
			return 0, false
		}
	}
	return i, true
}

// kind is how the length of a msgpack value follows from its first byte.
type kind uint8

const (
	countsBytes  kind = iota // extra bytes follow the length field, plus as many as it says
	countsValues             // the length field counts values
	countsPairs              // the length field counts pairs of values
	invalid
)

// shape is the form of the values that begin with one byte of the range 0xc0 to 0xdf.
type shape struct {
	kind  kind
	size  uint8 // bytes of the length field: 0, 1, 2 or 4
	extra uint8 // bytes besides those that the length field counts
}

// shapes is indexed by the first byte less codeNil.
var shapes = [32]shape{
	0:                      {countsBytes, 0, 0},
	codeNever - codeNil:    {invalid, 0, 0},
	codeFalse - codeNil:    {countsBytes, 0, 0},
	codeTrue - codeNil:     {countsBytes, 0, 0},
	codeBin8 - codeNil:     {countsBytes, 1, 0},
	codeBin16 - codeNil:    {countsBytes, 2, 0},
	codeBin32 - codeNil:    {countsBytes, 4, 0},
	codeExt8 - codeNil:     {countsBytes, 1, 1},
	codeExt16 - codeNil:    {countsBytes, 2, 1},
	codeExt32 - codeNil:    {countsBytes, 4, 1},
	codeFloat32 - codeNil:  {countsBytes, 0, 4},
	codeFloat64 - codeNil:  {countsBytes, 0, 8},
	codeUint8 - codeNil:    {countsBytes, 0, 1},
	codeUint16 - codeNil:   {countsBytes, 0, 2},
	codeUint32 - codeNil:   {countsBytes, 0, 4},
	codeUint64 - codeNil:   {countsBytes, 0, 8},
	codeInt8 - codeNil:     {countsBytes, 0, 1},
	codeInt16 - codeNil:    {countsBytes, 0, 2},
	codeInt32 - codeNil:    {countsBytes, 0, 4},
	codeInt64 - codeNil:    {countsBytes, 0, 8},
	codeFixExt1 - codeNil:  {countsBytes, 0, 2},
	codeFixExt2 - codeNil:  {countsBytes, 0, 3},
	codeFixExt4 - codeNil:  {countsBytes, 0, 5},
	codeFixExt8 - codeNil:  {countsBytes, 0, 9},
	codeFixExt16 - codeNil: {countsBytes, 0, 17},
	codeStr8 - codeNil:     {countsBytes, 1, 0},
	codeStr16 - codeNil:    {countsBytes, 2, 0},
	codeStr32 - codeNil:    {countsBytes, 4, 0},
	codeArray16 - codeNil:  {countsValues, 2, 0},
	codeArray32 - codeNil:  {countsValues, 4, 0},
	codeMap16 - codeNil:    {countsPairs, 2, 0},
	codeMap32 - codeNil:    {countsPairs, 4, 0},
}
