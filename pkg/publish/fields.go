package publish

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
)

// object is a JSON object whose fields are not read yet, with the name that errors give it.
type object struct {
	name   string
	fields map[string]json.RawMessage
}

// asObject reports false when b is valid JSON but no object. Of repeated keys the last one counts.
func asObject(name string, b []byte) (object, bool) {
	o := object{name: name}
	err := json.Unmarshal(b, &o.fields)
	return o, err == nil && o.fields != nil
}

// has reports whether the object has the field with a value other than null.
func (o object) has(key string) bool {
	raw, ok := o.fields[key]
	return ok && !bytes.Equal(raw, []byte("null"))
}

// empty reports whether no field has a value other than null.
func (o object) empty() bool {
	for key := range o.fields {
		if o.has(key) {
			return false
		}
	}
	return true
}

// list returns the elements of an array, nil when there is none.
func (o object) list(key string) ([]json.RawMessage, error) {
	if !o.has(key) {
		return nil, nil
	}
	var elements []json.RawMessage
	if err := json.Unmarshal(o.fields[key], &elements); err != nil {
		return nil, o.wrongType(key)
	}
	return elements, nil
}

func (o object) missing(key string) error {
	return fmt.Errorf("%s does not contain '%s'", o.name, key)
}

func (o object) wrongType(key string) error {
	return fmt.Errorf("%s contains '%s' with wrong type", o.name, key)
}

func (o object) invalidValue(key string) error {
	return fmt.Errorf("%s contains '%s' with invalid value", o.name, key)
}

// reader reads fields of an object. The first error stays in err, and what is read after it does not count. A missing
// field reads as the zero value.
type reader struct {
	object
	err error
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

// decode reads a field into v and reports whether there was one of the right type.
func (r *reader) decode(key string, v any) bool {
	if !r.has(key) {
		return false
	}
	if err := json.Unmarshal(r.fields[key], v); err != nil {
		r.fail(r.wrongType(key))
		return false
	}
	return true
}

func (r *reader) text(key string) (s string) {
	r.decode(key, &s)
	return s
}

func (r *reader) boolean(key string) (b bool) {
	r.decode(key, &b)
	return b
}

// integer reads a whole number, also one in a string, which Pushpin accepts.
func (r *reader) integer(key string) int {
	var n json.Number
	if !r.decode(key, &n) {
		return 0
	}
	if i, err := strconv.Atoi(n.String()); err == nil {
		return i
	}
	f, err := n.Float64()
	if err != nil || f != math.Trunc(f) || math.Abs(f) > math.MaxInt32 {
		r.fail(r.invalidValue(key))
		return 0
	}
	return int(f)
}

// code reads a number for which 0 means that there is none, so that a 0 which is there is refused.
func (r *reader) code() int {
	n := r.integer("code")
	if n == 0 && r.has("code") && r.err == nil {
		r.fail(invalidNumber(r.name, "code", n))
	}
	return n
}

// texts reads an object of strings, nil when it is absent or empty.
func (r *reader) texts(key string) map[string]string {
	if !r.has(key) {
		return nil
	}
	o, ok := asObject("'"+key+"'", r.fields[key])
	if !ok {
		r.fail(r.wrongType(key))
		return nil
	}
	if len(o.fields) == 0 {
		return nil
	}
	in := reader{object: o}
	m := make(map[string]string, len(o.fields))
	for k := range o.fields {
		if !in.has(k) {
			in.fail(in.wrongType(k))
		}
		m[k] = in.text(k)
	}
	if in.err != nil {
		r.fail(in.err)
	}
	return m
}

func (r *reader) filters() []string {
	raw, err := r.list("content-filters")
	if err != nil {
		r.fail(err)
	}
	var filters []string
	for _, b := range raw {
		var s *string
		if err := json.Unmarshal(b, &s); err != nil || s == nil {
			r.fail(r.wrongType("content-filters"))
			return nil
		}
		filters = append(filters, *s)
	}
	return filters
}

func (r *reader) action() Action {
	var s string
	if !r.decode("action", &s) {
		return Send
	}
	for i, name := range actionNames {
		if s == name {
			return Action(i)
		}
	}
	r.fail(fmt.Errorf("%s contains 'action' with unknown value", r.name))
	return Send
}

func (r *reader) messageType() MessageType {
	s := r.text("type")
	for i, name := range typeNames {
		if s == name {
			return MessageType(i)
		}
	}
	r.fail(fmt.Errorf("%s contains 'type' with unknown value", r.name))
	return Text
}

// content reads the base64 field key-bin, or else the text field key.
func (r *reader) content(key string) string {
	bin := key + "-bin"
	if !r.has(bin) {
		if !r.has(key) {
			r.fail(fmt.Errorf("%s does not contain '%s' or '%s'", r.name, key, bin))
		}
		return r.text(key)
	}
	b, err := base64.StdEncoding.DecodeString(r.text(bin))
	if err != nil {
		r.fail(r.invalidValue(bin))
	}
	return string(b)
}

// patch reads an array of operations and keeps it as compact JSON.
func (r *reader) patch(key string) string {
	if _, err := r.list(key); err != nil {
		r.fail(err)
		return ""
	}
	var b bytes.Buffer
	if err := json.Compact(&b, r.fields[key]); err != nil {
		r.fail(r.invalidValue(key))
	}
	return b.String()
}

// headers reads a list of [name, value], or an object, whose order and repeated names are kept.
func (r *reader) headers() []Header {
	const key = "headers"
	if !r.has(key) {
		return nil
	}
	if raw := r.fields[key]; raw[0] == '{' {
		headers, ok := headersOfObject(raw)
		if !ok {
			r.fail(r.wrongType(key))
		}
		return headers
	}
	raw, err := r.list(key)
	if err != nil {
		r.fail(err)
	}
	var headers []Header
	for _, b := range raw {
		var pair []*string
		if err := json.Unmarshal(b, &pair); err != nil || len(pair) != 2 || pair[0] == nil || pair[1] == nil {
			r.fail(r.wrongType(key))
			return nil
		}
		headers = append(headers, Header{*pair[0], *pair[1]})
	}
	return headers
}

func headersOfObject(raw []byte) (headers []Header, ok bool) {
	d := json.NewDecoder(bytes.NewReader(raw))
	if _, err := d.Token(); err != nil { // the opening brace
		return nil, false
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, false
		}
		value, err := d.Token()
		text, isText := value.(string)
		if err != nil || !isText {
			return nil, false
		}
		headers = append(headers, Header{name.(string), text})
	}
	return headers, true
}
