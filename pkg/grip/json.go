package grip

import (
	"bytes"
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// ParseBody reads the body of a response of the JSON form, whose instructions come on top of those
// of the header. It is for an Instruct that has JSON set; after an error, which is an *Error, the
// Instruct means nothing. Null counts as absent, of a repeated key the last one counts, and unknown
// keys mean nothing. A byte order mark is skipped. It does not keep body.
func (in *Instruct) ParseBody(body []byte) error {
	body = bytes.TrimPrefix(body, []byte("\ufeff"))
	if !json.Valid(body) || !utf8.Valid(body) {
		return fault("failed to parse "+instructType+" content as JSON", string(body[:min(len(body), maxQuotedBytes)]))
	}
	if escape := loneSurrogate(body); escape != "" {
		return fault(instructType+" content has half of a surrogate pair", escape)
	}
	r := &reader{}
	top, ok := r.object("instruct", body)
	if !ok {
		return fault("instruct must be an object", "")
	}
	if top.has("hold") {
		in.parseJSONHold(r.child(top, "hold", "instruct contains 'hold' with wrong type"))
	}
	if top.has("response") {
		in.parseJSONResponse(r.child(top, "response", "instruct contains 'response' with wrong type"))
	}
	if r.err != nil {
		return r.err
	}
	if err := in.checkMeta("'meta'"); err != nil {
		return err
	}
	return in.Response.check()
}

// loneSurrogate returns the first escape in b, which is valid JSON, that is one half of a surrogate
// pair without the other; or "". encoding/json reads it as U+FFFD, so that two channels would
// become one.
func loneSurrogate(b []byte) string {
	for i := bytes.IndexByte(b, '\\'); i >= 0; { // only strings have any
		size := 2
		if r := unicodeEscape(b[i:]); utf16.IsSurrogate(r) {
			if utf16.DecodeRune(r, unicodeEscape(b[i+6:])) == utf8.RuneError {
				return string(b[i : i+6])
			}
			size = 12
		}
		next := bytes.IndexByte(b[i+size:], '\\')
		if next < 0 {
			return ""
		}
		i += size + next
	}
	return ""
}

// unicodeEscape returns XXXX of the escape \uXXXX at the beginning of b, or 0.
func unicodeEscape(b []byte) rune {
	if !bytes.HasPrefix(b, []byte(`\u`)) || len(b) < 6 {
		return 0
	}
	n, _ := strconv.ParseUint(string(b[2:6]), 16, 16) // valid JSON has four digits
	return rune(n)
}

func (in *Instruct) parseJSONHold(hold object) {
	r := hold.r
	in.Hold = ResponseHold
	if hold.has("mode") {
		switch mode := hold.text("mode"); mode {
		case "response":
		case "stream":
			in.Hold = StreamHold
		default:
			r.fail(fault("hold 'mode' must be set to either 'response' or 'stream'", mode))
		}
	}
	if !hold.has("channels") {
		r.fail(fault("hold does not contain 'channels'", ""))
	}
	var channels []Channel
	for _, raw := range hold.list("channels") {
		c, ok := r.object("channel", raw)
		if !ok {
			r.fail(fault("channel is not an object", ""))
			break
		}
		channels = append(channels, parseJSONChannel(c))
	}
	in.addChannels(channels)
	if n, given := hold.integer("timeout"); given {
		in.Timeout = seconds(n, minTimeout)
	}
	if hold.has("keep-alive") {
		in.KeepAlive = parseJSONKeepAlive(r.child(hold, "keep-alive", "hold contains 'keep-alive' with wrong type"))
	}
	if !hold.has("meta") {
		return
	}
	meta := r.child(hold, "meta", "hold contains 'meta' with wrong type")
	for _, name := range slices.Sorted(maps.Keys(meta.fields)) { // so that the first error is always the same
		if !meta.has(name) {
			r.fail(meta.wrongType(name))
		}
		if why := in.setMeta(name, meta.text(name)); why != "" {
			r.fail(fault("'meta' "+why, name))
		}
	}
}

func parseJSONChannel(o object) Channel {
	if !o.has("name") {
		o.r.fail(fault("channel does not contain 'name'", ""))
	}
	c := Channel{Name: o.text("name"), PrevID: o.text("prev-id")}
	for _, raw := range o.list("filters") {
		var name *string
		if err := json.Unmarshal(raw, &name); err != nil || name == nil {
			o.r.fail(fault("filters contains value with wrong type", string(raw)))
			break
		}
		c.Filters |= FilterByName(*name)
	}
	if why := c.bad(); why != "" {
		o.r.fail(fault("channel is invalid: "+why, c.Name))
	}
	return c
}

// parseJSONKeepAlive gives the mode Interval: this form names none, and in Pushpin delivered items do not put the timer back.
func parseJSONKeepAlive(o object) KeepAlive {
	k := KeepAlive{Mode: Interval, Interval: defaultTimeout, Data: o.content("content")}
	if n, given := o.integer("timeout"); given {
		k.Interval = seconds(n, minKeepAlive)
	}
	if len(k.Data) > MaxKeepAliveBytes {
		o.r.fail(fault("keep-alive is longer than "+strconv.Itoa(MaxKeepAliveBytes)+" bytes", ""))
	}
	return k
}

func (in *Instruct) parseJSONResponse(o object) {
	if code, given := o.integer("code"); given {
		if code < minStatus || code > maxStatus {
			o.r.fail(fault("response contains 'code' with invalid value", strconv.Itoa(code)))
		}
		in.Response.Status, in.Response.Reason = code, ""
	}
	if reason := o.text("reason"); reason != "" {
		if !validReason(reason) {
			o.r.fail(fault("response contains 'reason' with invalid value", reason))
		}
		in.Response.Reason = reason
	}
	in.Response.Fields = slices.DeleteFunc(o.headers(), func(f Field) bool { return isOurs(f.Name) || isGrip(f.Name) })
	in.Response.Body = o.content("body")
}

// reader keeps the first error of a body. What is read after it does not count.
type reader struct{ err error }

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

// object is a JSON object whose fields are not read yet, with the name that errors give it.
type object struct {
	r      *reader
	name   string
	fields map[string]json.RawMessage
}

// object reports false when raw, which is valid JSON, is no object.
func (r *reader) object(name string, raw []byte) (object, bool) {
	o := object{r: r, name: name}
	err := json.Unmarshal(raw, &o.fields)
	return o, err == nil && o.fields != nil
}

// child returns the object in the field key of o, or an empty one, with an error that has the text.
func (r *reader) child(o object, key, text string) object {
	name := key
	if key == "meta" {
		name = "'meta'"
	}
	c, ok := r.object(name, o.fields[key])
	if !ok {
		r.fail(fault(text, string(o.fields[key])))
	}
	return c
}

func (o object) has(key string) bool {
	raw, ok := o.fields[key]
	return ok && !bytes.Equal(raw, []byte("null"))
}

func (o object) wrongType(key string) error {
	return fault(o.name+" contains '"+show(key)+"' with wrong type", string(o.fields[key]))
}

func (o object) invalidValue(key string) error {
	return fault(o.name+" contains '"+show(key)+"' with invalid value", string(o.fields[key]))
}

func (o object) text(key string) (s string) {
	if o.has(key) && json.Unmarshal(o.fields[key], &s) != nil {
		o.r.fail(o.wrongType(key))
	}
	return s
}

func (o object) list(key string) (elements []json.RawMessage) {
	if o.has(key) && json.Unmarshal(o.fields[key], &elements) != nil {
		o.r.fail(o.wrongType(key))
	}
	return elements
}

// integer reads a whole number that is not negative, also one in a string, which Pushpin takes.
func (o object) integer(key string) (n int, given bool) {
	if !o.has(key) {
		return 0, false
	}
	var number json.Number
	if json.Unmarshal(o.fields[key], &number) != nil {
		o.r.fail(o.wrongType(key))
		return 0, false
	}
	f, err := number.Float64()
	if err != nil || f != math.Trunc(f) || f < 0 || f > maxTimeoutValue {
		o.r.fail(o.invalidValue(key))
		return 0, false
	}
	return int(f), true
}

// content reads the base64 field key-bin, or else the text field key.
func (o object) content(key string) []byte {
	bin := key + "-bin"
	if !o.has(bin) {
		return []byte(o.text(key))
	}
	b, ok := decodeBase64(o.text(bin))
	if !ok {
		o.r.fail(o.invalidValue(bin))
	}
	return b
}

// headers reads a list of [name, value], or an object, whose order and repeated names are kept.
func (o object) headers() (fields []Field) {
	const key = "headers"
	if !o.has(key) {
		return nil
	}
	switch raw := o.fields[key]; raw[0] {
	case '[':
		for _, element := range o.list(key) {
			var pair []*string
			if err := json.Unmarshal(element, &pair); err != nil {
				o.r.fail(fault("headers contains element with wrong type", string(element)))
				return nil
			}
			if len(pair) != 2 {
				o.r.fail(fault("headers contains list with wrong number of elements", string(element)))
				return nil
			}
			if pair[0] == nil || pair[1] == nil {
				o.r.fail(fault("headers contains element with wrong type", string(element)))
				return nil
			}
			fields = append(fields, Field{*pair[0], *pair[1]})
		}
	case '{':
		d := json.NewDecoder(bytes.NewReader(raw))
		_, _ = d.Token() // the opening brace; raw is valid JSON
		for d.More() {
			name, _ := d.Token()
			value, _ := d.Token()
			text, isText := value.(string)
			if !isText {
				o.r.fail(fault("headers contains '"+show(name.(string))+"' with wrong type", ""))
				return nil
			}
			fields = append(fields, Field{name.(string), text})
		}
	default:
		o.r.fail(o.wrongType(key))
	}
	return fields
}
