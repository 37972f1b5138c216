package wire

import (
	"fmt"
	"math"
	"reflect"
	"strings"
	"sync"
)

// checkNumbers reports a whole number in the map at the beginning of b, which is well-formed
// msgpack, that the field of t with its key cannot hold. The library would read it as another
// number, such as 2^63 as a negative one. The error is an *Error of code BadRequest that names the
// field.
func checkNumbers(b []byte, t reflect.Type) error {
	c := cursor{b: b}
	c.numbers(t, "")
	if c.problem != "" {
		return &Error{BadRequest, c.problem}
	}
	return nil
}

// numbers passes over the value that is read into a t, and fails at a number that does not fit.
// What is wrong with it otherwise is for the library to say.
func (c *cursor) numbers(t reflect.Type, name string) {
	if c.problem != "" || c.i >= len(c.b) {
		return
	}
	code := c.b[c.i]
	switch {
	case t.Kind() == reflect.Pointer && code != codeNil:
		c.numbers(t.Elem(), name)
	case t.Kind() == reflect.Struct && isMap(code):
		for n := c.optionalMap(name); n > 0 && c.problem == ""; n-- {
			c.field(t)
		}
	case t.Kind() == reflect.Map && isMap(code):
		for n := c.optionalMap(name); n > 0 && c.problem == ""; n-- {
			c.numbers(t.Key(), name)
			c.numbers(t.Elem(), name)
		}
	case (t.Kind() == reflect.Slice || t.Kind() == reflect.Array) && isArray(code):
		for n := c.array(name); n > 0 && c.problem == ""; n-- {
			c.numbers(t.Elem(), name)
		}
	case isWhole(code):
		c.whole(t, name)
	default:
		c.skip(1)
	}
}

// field passes over a key and its value.
func (c *cursor) field(t reflect.Type) {
	start := c.i
	key := c.text("key")
	if c.problem != "" { // no string: no field
		c.problem, c.i = "", start
		c.skip(2)
		return
	}
	if ft, ok := fieldsOf(t)[key]; ok {
		c.numbers(ft, key)
		return
	}
	c.skip(1)
}

// fieldTypes has a map[string]reflect.Type for each struct that was asked about.
var fieldTypes sync.Map

// fieldsOf returns the types of a struct's fields by their keys.
func fieldsOf(t reflect.Type) map[string]reflect.Type {
	if fields, ok := fieldTypes.Load(t); ok {
		return fields.(map[string]reflect.Type)
	}
	fields := map[string]reflect.Type{}
	for f := range t.Fields() {
		key, _, _ := strings.Cut(f.Tag.Get("msgpack"), ",")
		fields[key] = f.Type
	}
	fieldTypes.Store(t, fields)
	return fields
}

// whole reads a whole number, which must fit a field of type t if that is for whole numbers.
func (c *cursor) whole(t reflect.Type, name string) {
	code := c.b[c.i]
	if code >= codeNegFixMin || code >= codeInt8 && code <= codeInt64 {
		n := int64(c.integer(name))
		if isInt(t) && t.OverflowInt(n) || isUint(t) && (n < 0 || t.OverflowUint(uint64(n))) {
			c.fail(fmt.Sprintf("%s is %d, which is out of range", name, n))
		}
		return
	}
	n := c.unsigned(name)
	if isInt(t) && (n > math.MaxInt64 || t.OverflowInt(int64(n))) || isUint(t) && t.OverflowUint(n) {
		c.fail(fmt.Sprintf("%s is %d, which is out of range", name, n))
	}
}

func isMap(code byte) bool { return code&^0x0f == codeFixMap || code == codeMap16 || code == codeMap32 }

func isArray(code byte) bool {
	return code&^0x0f == codeFixArray || code == codeArray16 || code == codeArray32
}

func isWhole(code byte) bool {
	return code <= codePosFixMax || code >= codeNegFixMin || code >= codeUint8 && code <= codeInt64
}

func isInt(t reflect.Type) bool { return t.Kind() >= reflect.Int && t.Kind() <= reflect.Int64 }

func isUint(t reflect.Type) bool { return t.Kind() >= reflect.Uint && t.Kind() <= reflect.Uintptr }
