package publish

import (
	"fmt"
	"testing"
)

// The whole rule: what an item is to each kind of connection, by action, filters and patch.
func TestFor(t *testing.T) {
	filters := []string{"skip-self"}
	for _, tt := range []struct {
		name string
		item Item
		f    Format
		body bool
		want Effect
	}{
		{"nothing", Item{}, HTTPStream, false, Ignored},
		{"another format", Item{Formats: WSMessage}, HTTPStream, false, Ignored},
		{"a response", Item{Formats: HTTPResponse}, HTTPResponse, false, Content},
		{"a hint", Item{Formats: HTTPResponse, Response: Response{Action: Hint}}, HTTPResponse, true, Hinted},
		{"a filtered hint", Item{Formats: HTTPResponse, Response: Response{Action: Hint, ContentFilters: filters}},
			HTTPResponse, true, Hinted},
		{"a filtered response", Item{Formats: HTTPResponse, Response: Response{ContentFilters: filters}}, HTTPResponse, true, Ignored},
		{"a patch for a poll", Item{Formats: HTTPResponse, Response: Response{BodyPatch: "[]"}}, HTTPResponse, false, Ignored},
		{"a patch for a held response", Item{Formats: HTTPResponse, Response: Response{BodyPatch: "[]"}}, HTTPResponse, true, Content},
		{"a stream's bytes", Item{Formats: HTTPStream}, HTTPStream, false, Content},
		{"a stream's end", Item{Formats: HTTPStream, Stream: Stream{Action: Close}}, HTTPStream, false, Closing},
		{"filtered bytes", Item{Formats: HTTPStream, Stream: Stream{ContentFilters: filters}}, HTTPStream, false, Ignored},
		{"a filtered end", Item{Formats: HTTPStream, Stream: Stream{Action: Close, ContentFilters: filters}}, HTTPStream, false, Ignored},
		{"a message", Item{Formats: WSMessage}, WSMessage, false, Content},
		{"a close frame", Item{Formats: WSMessage, Message: Message{Action: Close}}, WSMessage, false, Closing},
		{"a refresh", Item{Formats: WSMessage, Message: Message{Action: Refresh}}, WSMessage, false, Ignored},
		{"a filtered message", Item{Formats: WSMessage, Message: Message{ContentFilters: filters}}, WSMessage, false, Ignored},
		{"an event", Item{Formats: SSE}, SSE, false, Content},
		{"an event beside a filtered stream", Item{Formats: SSE | HTTPStream, Stream: Stream{ContentFilters: filters}}, SSE, false, Content},
	} {
		if got := tt.item.For(tt.f, tt.body); got != tt.want {
			t.Errorf("%s: For(%d, %v) = %d, want %d", tt.name, tt.f, tt.body, got, tt.want)
		}
	}
}

// A field carries visible ASCII with spaces inside, and nothing else comes back as it was.
func TestFieldSafe(t *testing.T) {
	for id, want := range map[string]bool{
		"": true, "a": true, "a b": true, "~!": true, " a": false, "a ": false, " ": false, "ü": false, "a\tb": false, "\x7f": false,
		"a\x00": false, "\xff": false,
	} {
		if got := FieldSafe(id); got != want {
			t.Errorf("FieldSafe(%s) = %v, want %v", fmt.Sprintf("%q", id), got, want)
		}
	}
}
