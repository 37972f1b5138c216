package grip

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Limits of what a backend may ask for.
const (
	MaxChannelBytes   = 255  // of a channel's name, without the route's prefix
	MaxIDBytes        = 1024 // of a prev-id, which goes back to the backend in a header
	MaxFilters        = 5    // named in one Grip-Channel, unless Limits say otherwise
	MaxKeepAliveBytes = 4096
	MaxMetaBytes      = 4096 // names and values together
	MaxReasonBytes    = 1024

	// MaxTimeout is what any longer timeout becomes.
	MaxTimeout = 30 * 24 * time.Hour
)

const (
	defaultTimeout  = 55 * time.Second
	minTimeout      = 5 * time.Second // of a response hold
	minKeepAlive    = time.Second
	minStatus       = 200 // one below announces another response (RFC 9110 15.2)
	maxStatus       = 599 // RFC 9110 15
	instructType    = "application/grip-instruct"
	maxTimeoutValue = 1<<31 - 1 // Pushpin does not read a larger number
)

// Hold is what becomes of the client's request.
type Hold uint8

// The kinds of holds.
const (
	NoHold       Hold = iota // the response goes out at once
	ResponseHold             // it waits for the first item: long polling
	StreamHold               // it goes out at once and does not end: items follow
)

// Channel is a subscription that a backend asks for.
type Channel struct {
	Name    string // without the route's prefix
	PrevID  string // the id of the item that the backend knew last; empty: it does not say
	Filters Filter
}

// KeepAlive is what is written to a stream hold that is quiet. Without Data there is none.
type KeepAlive struct {
	Data     []byte
	Mode     KeepAliveMode
	Interval time.Duration
}

// KeepAliveMode tells from when on the interval runs.
type KeepAliveMode uint8

// The modes.
const (
	Idle     KeepAliveMode = iota // from the last data, published or kept alive
	Interval                      // from the last keep-alive
)

// Response is what the client gets: at once, or of a response hold when it times out.
type Response struct {
	Status int     // 200 to 599
	Reason string  // empty: the usual one
	Fields []Field // without framing, hop-by-hop and GRIP headers
	Body   []byte  // of the JSON form; the body of the header form is the backend's
}

// Instruct is what a response of a backend asks for.
type Instruct struct {
	Hold      Hold
	Channels  []Channel     // each name once; as many as the backend named
	Timeout   time.Duration // of a response hold
	KeepAlive KeepAlive     // of a stream hold
	Meta      map[string]string
	Response  Response
	Expose    []string // the names of Grip-Expose-Headers, canonical and sorted; nil when all are exposed

	// JSON says that the body holds the rest of the instructions: ParseBody must read it before they count.
	JSON bool

	next, gone bool   // a Grip-Link asks for it
	coding     string // Content-Encoding of the body, "" for none
}

// IsInstruct reports whether the header makes a response one that ParseHeader is for. Others pass through.
func IsInstruct(h http.Header) bool {
	for name := range h {
		if isGrip(name) {
			return true
		}
	}
	return isInstructType(h)
}

// IsJSON reports whether the instructions of a response are in its body.
func IsJSON(h http.Header) bool { return isInstructType(h) }

func isInstructType(h http.Header) bool {
	mediaType, _, _ := strings.Cut(h.Get("Content-Type"), ";")
	return strings.EqualFold(trim(mediaType), instructType)
}

// Limits are those that an operator may change. The zero value has the usual ones.
type Limits struct {
	Filters int // named in one Grip-Channel; 0 for MaxFilters
}

// ParseHeader reads the instructions in the header of a response with its status and reason phrase. The error is an *Error.
func ParseHeader(status int, reason string, h http.Header) (*Instruct, error) {
	return Limits{}.ParseHeader(status, reason, h)
}

// ParseHeader is the function ParseHeader with these limits.
func (l Limits) ParseHeader(status int, reason string, h http.Header) (*Instruct, error) {
	if l.Filters <= 0 {
		l.Filters = MaxFilters
	}
	in := &Instruct{
		Timeout:  defaultTimeout,
		Response: Response{Status: status, Reason: reason},
		JSON:     isInstructType(h),
		coding:   contentCoding(h),
	}
	for _, parse := range []func(http.Header) error{
		in.parseHold, func(h http.Header) error { return in.parseChannels(h, l.Filters) }, in.parseTimeout, in.parseKeepAlive, in.parseMeta, in.parseStatus, in.parseLinks,
	} {
		if err := parse(h); err != nil {
			return nil, err
		}
	}
	in.Expose = exposeList(h)
	if in.JSON {
		if status != http.StatusOK {
			return nil, fault("response code for "+instructType+" content must be 200", strconv.Itoa(status))
		}
		if in.coding != "" {
			return nil, fault(instructType+" content must not have a Content-Encoding", in.coding)
		}
	} else {
		in.Response.Fields = exposed(withoutGrip(ClientFields(h)), in.Expose)
	}
	if err := in.Response.check(); err != nil {
		return nil, err
	}
	return in, nil
}

// NotServed names what the response asks for and pushd does not do, as one line fit for the client, or returns "".
func (in *Instruct) NotServed() string {
	var what []string
	add := func(asked bool, name string) {
		if asked {
			what = append(what, name)
		}
	}
	var filters Filter
	prevID := false
	for _, c := range in.Channels {
		filters |= c.Filters
		prevID = prevID || c.PrevID != ""
	}
	if filters &^= Served; in.Hold == NoHold {
		filters &= BuildID // the others change nothing but items
	}
	add(in.next, "Grip-Link rel=next")
	add(in.gone && in.Hold != NoHold, "Grip-Link rel=gone")
	add(filters != 0, "filter "+filters.String())
	add(prevID && in.Hold == StreamHold, "prev-id in a stream hold")
	add(in.coding != "" && in.Hold != NoHold, "Content-Encoding "+show(in.coding)+" in a hold")
	return strings.Join(what, ", ")
}

func (in *Instruct) parseHold(h http.Header) error {
	if !has(h, "Grip-Hold") {
		return nil
	}
	switch mode := h.Get("Grip-Hold"); mode {
	case "response":
		in.Hold = ResponseHold
	case "stream":
		in.Hold = StreamHold
	default:
		return fault("Grip-Hold must be set to either 'response' or 'stream'", mode)
	}
	return nil
}

func (in *Instruct) parseChannels(h http.Header, most int) error {
	var channels []Channel
	for _, element := range elements(h, "Grip-Channel") {
		name, params, ok := parseValue(element)
		if !ok || element == "" {
			continue
		}
		c := Channel{Name: name}
		c.PrevID, _ = find(params, "prev-id")
		n := 0
		for _, p := range params {
			if p.name == "filter" {
				c.Filters |= FilterByName(p.value)
				n++
			}
		}
		if n > most {
			return fault("too many filters for channel '"+show(name)+"'", "")
		}
		if why := c.bad(); why != "" {
			return fault("failed to parse Grip-Channel: "+why, element)
		}
		channels = append(channels, c)
	}
	in.addChannels(channels)
	return nil
}

// addChannels appends channels. Of those with the same name the last one counts, at the place of the first.
func (in *Instruct) addChannels(channels []Channel) {
	at := make(map[string]int, len(in.Channels)+len(channels))
	for i, c := range in.Channels {
		at[c.Name] = i
	}
	for _, c := range channels {
		if i, again := at[c.Name]; again {
			in.Channels[i] = c
			continue
		}
		at[c.Name] = len(in.Channels)
		in.Channels = append(in.Channels, c)
	}
}

// bad says what keeps the channel from being subscribed to, or "".
func (c *Channel) bad() string {
	switch {
	case c.Name == "":
		return "the name is empty"
	case len(c.Name) > MaxChannelBytes:
		return "the name is longer than " + strconv.Itoa(MaxChannelBytes) + " bytes"
	case !utf8.ValidString(c.Name):
		return "the name is not valid UTF-8"
	case strings.ContainsFunc(c.Name, unicode.IsControl):
		return "the name contains a control character"
	case len(c.PrevID) > MaxIDBytes:
		return "prev-id is longer than " + strconv.Itoa(MaxIDBytes) + " bytes"
	case !utf8.ValidString(c.PrevID), strings.ContainsFunc(c.PrevID, unicode.IsControl): // no item has such an id
		return "prev-id contains a control character or is not valid UTF-8"
	}
	return ""
}

func (in *Instruct) parseTimeout(h http.Header) error {
	if !has(h, "Grip-Timeout") {
		return nil
	}
	value := h.Get("Grip-Timeout")
	n, ok := parseSeconds(value)
	switch {
	case !ok:
		return fault("failed to parse Grip-Timeout", value)
	case n < 0:
		return fault("Grip-Timeout has invalid value", value)
	}
	in.Timeout = seconds(n, minTimeout)
	return nil
}

func (in *Instruct) parseMeta(h http.Header) error {
	for _, element := range elements(h, "Grip-Set-Meta") {
		params, ok := parseParams(element)
		if !ok {
			continue
		}
		if len(params) == 0 || params[0].name == "" {
			return fault("Grip-Set-Meta cannot be empty", element)
		}
		if why := in.setMeta(params[0].name, params[0].value); why != "" {
			return fault("Grip-Set-Meta "+why, element)
		}
	}
	return in.checkMeta("Grip-Set-Meta")
}

func (in *Instruct) setMeta(name, value string) (why string) {
	if !validText(name) || !validText(value) {
		return "contains a control character or is not valid UTF-8"
	}
	if in.Meta == nil {
		in.Meta = make(map[string]string)
	}
	in.Meta[name] = value
	return ""
}

func (in *Instruct) checkMeta(source string) error {
	n := 0
	for name, value := range in.Meta {
		n += len(name) + len(value)
	}
	if n > MaxMetaBytes {
		return fault(source+" is longer than "+strconv.Itoa(MaxMetaBytes)+" bytes", "")
	}
	return nil
}

func (in *Instruct) parseStatus(h http.Header) error {
	value := h.Get("Grip-Status")
	if value == "" {
		return nil
	}
	code, reason, _ := strings.Cut(value, " ")
	n, err := strconv.Atoi(code)
	switch {
	case err != nil || n < minStatus || n > maxStatus:
		return fault("Grip-Status contains invalid status code", value)
	case !validReason(reason):
		return fault("Grip-Status contains invalid reason", value)
	}
	in.Response.Status, in.Response.Reason = n, trim(reason)
	return nil
}

// parseLinks notes which links are asked for. One without parameters and one with another relation mean nothing.
func (in *Instruct) parseLinks(h http.Header) error {
	for _, element := range elements(h, "Grip-Link") {
		link, params, ok := parseValue(element)
		if !ok || len(params) == 0 {
			continue
		}
		if len(link) <= 2 || link[0] != '<' || link[len(link)-1] != '>' {
			return fault("failed to parse Grip-Link value", element)
		}
		switch rel, _ := find(params, "rel"); rel {
		case "next":
			in.next = true
		case "gone":
			in.gone = true
		}
	}
	return nil
}

// check refuses a response that cannot be written as HTTP.
func (r *Response) check() error {
	if r.Status < minStatus || r.Status > maxStatus {
		return fault("response has invalid status code", strconv.Itoa(r.Status))
	}
	if !validReason(r.Reason) {
		return fault("response has invalid reason", r.Reason)
	}
	for _, f := range r.Fields {
		if !validName(f.Name) {
			return fault("response has invalid header name", f.Name)
		}
		if !validValue(f.Value) {
			return fault("response header '"+show(f.Name)+"' contains a control character", f.Value)
		}
	}
	return nil
}

func contentCoding(h http.Header) string {
	if coding := trim(h.Get("Content-Encoding")); !strings.EqualFold(coding, "identity") {
		return coding
	}
	return ""
}

// exposeList returns nil when nothing is named, which exposes everything.
func exposeList(h http.Header) []string {
	var names []string
	for _, name := range elements(h, "Grip-Expose-Headers") {
		if name != "" {
			names = append(names, http.CanonicalHeaderKey(name))
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func has(h http.Header, name string) bool { return len(h[name]) > 0 }

// elements returns the elements of all headers called name, each a list.
func elements(h http.Header, name string) []string {
	var all []string
	for _, value := range h[name] {
		all = append(all, splitList(value)...)
	}
	return all
}

// parseSeconds reads a decimal number that fits in 32 bits.
func parseSeconds(s string) (int, bool) {
	n, err := strconv.ParseInt(trim(s), 10, 32)
	return int(n), err == nil
}

// seconds returns n, which fits in 32 bits, as a duration of at least least and at most MaxTimeout.
func seconds(n int, least time.Duration) time.Duration {
	return min(max(time.Duration(n)*time.Second, least), MaxTimeout)
}
