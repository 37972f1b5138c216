package grip

import (
	"slices"
	"testing"
)

func TestVaryOrigin(t *testing.T) {
	for _, tt := range []struct{ have, want []Field }{
		{nil, []Field{{"Vary", "Origin"}}},
		{[]Field{{"vary", "Accept"}}, []Field{{"vary", "Accept"}, {"Vary", "Origin"}}},
		{[]Field{{"vary", "Accept ,origin"}}, []Field{{"vary", "Accept ,origin"}}},
		{[]Field{{"Vary", "*"}}, []Field{{"Vary", "*"}}},
	} {
		if got := VaryOrigin(tt.have); !slices.Equal(got, tt.want) {
			t.Errorf("VaryOrigin(%q) = %q, want %q", tt.have, got, tt.want)
		}
	}
}

// The names that an item adds are exposed, and what it replaces in Vary does not lose Origin.
func TestExposeAgain(t *testing.T) {
	hold := []Field{{"X-A", "1"}, {"Access-Control-Expose-Headers", "X-A"}, {"Vary", "Origin"}}
	item := []Field{{"x-b", "2"}, {"Vary", "Accept"}, {"Content-Type", "text/plain"}}
	want := []Field{{"X-A", "1"}, {"x-b", "2"}, {"Vary", "Accept"}, {"Content-Type", "text/plain"},
		{"Access-Control-Expose-Headers", "X-A, x-b, Vary"}, {"Vary", "Origin"}}
	if got := ExposeAgain(Merge(hold, item, nil)); !slices.Equal(got, want) {
		t.Errorf("ExposeAgain = %q, want %q", got, want)
	}
}
