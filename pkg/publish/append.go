package publish

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"unicode/utf8"
)

// The JSON form of an item, for writing only: reading needs to know which fields were there.
type (
	itemJSON struct {
		Channel string            `json:"channel"`
		ID      string            `json:"id,omitempty"`
		PrevID  string            `json:"prev-id,omitempty"`
		Epoch   string            `json:"epoch,omitempty"`
		Formats formatsJSON       `json:"formats"`
		Meta    map[string]string `json:"meta,omitempty"`
		NoSeq   bool              `json:"no-seq,omitempty"`
		Size    int               `json:"size,omitempty"`
	}
	formatsJSON struct {
		Response *responseJSON `json:"http-response,omitempty"`
		Stream   *streamJSON   `json:"http-stream,omitempty"`
		Message  *messageJSON  `json:"ws-message,omitempty"`
		Event    *eventJSON    `json:"sse,omitempty"`
	}
	responseJSON struct {
		Action         string          `json:"action,omitempty"`
		Code           int             `json:"code,omitempty"`
		Reason         string          `json:"reason,omitempty"`
		Headers        [][2]string     `json:"headers,omitempty"`
		Body           *string         `json:"body,omitempty"`
		BodyBin        *string         `json:"body-bin,omitempty"`
		BodyPatch      json.RawMessage `json:"body-patch,omitempty"`
		ContentFilters []string        `json:"content-filters,omitempty"`
	}
	streamJSON struct {
		Action         string   `json:"action,omitempty"`
		Content        *string  `json:"content,omitempty"`
		ContentBin     *string  `json:"content-bin,omitempty"`
		ContentFilters []string `json:"content-filters,omitempty"`
	}
	messageJSON struct {
		Action         string   `json:"action,omitempty"`
		Type           string   `json:"type,omitempty"`
		Content        *string  `json:"content,omitempty"`
		ContentBin     *string  `json:"content-bin,omitempty"`
		Code           int      `json:"code,omitempty"`
		Reason         string   `json:"reason,omitempty"`
		ContentFilters []string `json:"content-filters,omitempty"`
	}
	eventJSON struct {
		Event string `json:"event,omitempty"`
		ID    string `json:"id,omitempty"`
		Data  string `json:"data"`
		Retry int    `json:"retry,omitempty"`
	}
)

// AppendJSON appends the JSON form of it to dst, on one line and without a newline. Content that is not UTF-8 takes its
// base64 form (body-bin, content-bin). ParseItem gives back an equal item, if it passes Check and its body patch has no
// white space between its tokens.
func AppendJSON(dst []byte, it *Item) []byte {
	v := itemJSON{
		Channel: it.Channel,
		ID:      it.ID,
		PrevID:  it.PrevID,
		Epoch:   it.Epoch,
		Meta:    it.Meta,
		NoSeq:   it.NoSeq,
		Size:    it.Size,
	}
	if it.Has(HTTPResponse) {
		v.Formats.Response = it.Response.json()
	}
	if it.Has(HTTPStream) {
		v.Formats.Stream = it.Stream.json()
	}
	if it.Has(WSMessage) {
		v.Formats.Message = it.Message.json()
	}
	if it.Has(SSE) {
		v.Formats.Event = &eventJSON{it.Event.Event, it.Event.ID, it.Event.Data, it.Event.Retry}
	}
	buf := bytes.NewBuffer(dst)
	enc := json.NewEncoder(buf)
	enc.SetEscapeHTML(false) // items travel in no HTML page
	if err := enc.Encode(&v); err != nil {
		// Only a body patch can be bad, and it was checked.
		panic("publish: AppendJSON of an item that does not pass Check: " + err.Error())
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
}

func (r *Response) json() *responseJSON {
	v := &responseJSON{Action: actionNames[r.Action]}
	if r.Action != Send {
		return v
	}
	v.Action = ""
	v.Code, v.Reason, v.ContentFilters = r.Code, r.Reason, r.ContentFilters
	for _, h := range r.Headers {
		v.Headers = append(v.Headers, [2]string{h.Name, h.Value})
	}
	if r.BodyPatch != "" {
		v.BodyPatch = json.RawMessage(r.BodyPatch)
		return v
	}
	v.Body, v.BodyBin = textOrBase64(r.Body)
	return v
}

func (s *Stream) json() *streamJSON {
	if s.Action != Send {
		return &streamJSON{Action: actionNames[s.Action]}
	}
	v := &streamJSON{ContentFilters: s.ContentFilters}
	v.Content, v.ContentBin = textOrBase64(s.Content)
	return v
}

func (m *Message) json() *messageJSON {
	switch m.Action {
	case Send:
	case Close:
		return &messageJSON{Action: actionNames[Close], Code: m.Code, Reason: m.Reason}
	default:
		return &messageJSON{Action: actionNames[m.Action]}
	}
	v := &messageJSON{ContentFilters: m.ContentFilters}
	v.Content, v.ContentBin = textOrBase64(m.Content)
	if m.Type != Text || v.ContentBin != nil { // content-bin alone would mean binary
		v.Type = typeNames[m.Type]
	}
	return v
}

// textOrBase64 gives s as text when JSON can carry it, else in base64.
func textOrBase64(s string) (text, bin *string) {
	if utf8.ValidString(s) {
		return &s, nil
	}
	b := base64.StdEncoding.EncodeToString([]byte(s))
	return nil, &b
}
