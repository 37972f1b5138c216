package publish

import (
	"strings"
	"testing"
)

func TestPatch(t *testing.T) {
	for _, tt := range []struct{ body, patch, want string }{
		{`{"a":1}`, `[{"op":"add","path":"/b","value":[2]}]`, `{"a":1,"b":[2]}`},
		{`{"a":1}`, `[{"op":"test","path":"/a","value":1},{"op":"replace","path":"/a","value":3}]`, `{"a":3}`},
		{`{"a":1}`, `[{"op":"test","path":"/a","value":2},{"op":"replace","path":"/a","value":3}]`, ``},
		{`{"a":1}`, `[{"op":"remove","path":"/b"}]`, ``},
		{`[1,2]`, `[{"op":"move","from":"/0","path":"/1"}]`, `[2,1]`},
		{`{"a":{"b":1}}`, `[{"op":"copy","from":"/a","path":"/c"}]`, `{"a":{"b":1},"c":{"b":1}}`},
		{`no JSON`, `[{"op":"add","path":"/b","value":2}]`, ``},
		{``, `[{"op":"add","path":"/b","value":2}]`, ``},
		{`{"a":1}`, `{}`, ``},
		{`{"a":1}`, `[{"op":"fly","path":"/b"}]`, ``},
	} {
		got, err := Patch([]byte(tt.body), tt.patch)
		if string(got) != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("Patch(%s, %s) = %s, %v, want %s", tt.body, tt.patch, got, err, tt.want)
		}
	}
	double := `{"op":"copy","from":"/l","path":"/l/-"}`
	if got, err := Patch([]byte(`{"l":["`+strings.Repeat("x", 1000)+`"]}`), "["+strings.Repeat(double+",", 30)+double+"]"); err == nil {
		t.Errorf("a document is doubled 31 times, to %d bytes", len(got))
	}
}
