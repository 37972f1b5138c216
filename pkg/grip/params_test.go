package grip

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestSplitList(t *testing.T) {
	for _, tt := range []struct {
		value string
		want  []string
	}{
		{"", nil},
		{"a", []string{"a"}},
		{" a , b;x=1\t,c ", []string{"a", "b;x=1", "c"}},
		{"a,", []string{"a"}},
		{",a", []string{"", "a"}},
		{"a,,b", []string{"a", "", "b"}},
		{" ", []string{""}},
		{`a="1,2", b`, []string{`a="1,2"`, "b"}},
		{`a="1\",2", b`, []string{`a="1\",2"`, "b"}},
		{`a\", b", c`, []string{`a\", b"`, "c"}}, // outside quotes nothing escapes
		{`a, b="1, c`, []string{"a", `b="1, c`}},
		{`a, b="1\`, []string{"a", `b="1\`}},
	} {
		if got := splitList(tt.value); !slices.Equal(got, tt.want) {
			t.Errorf("splitList(%q) = %q, want %q", tt.value, got, tt.want)
		}
	}
}

func TestParseValue(t *testing.T) {
	for _, tt := range []struct {
		in, value string
		params    []param
		ok        bool
	}{
		{"", "", nil, true},
		{" a ", "a", nil, true},
		{"a;", "a", nil, true},
		{"a;;b", "a", []param{{"", ""}, {"b", ""}}, true},
		{"a; prev-id=5", "a", []param{{"prev-id", "5"}}, true},
		{"a; x = 1 ; y=2=3", "a", []param{{"x", "1"}, {"y", "2=3"}}, true},
		{`a; x="1; 2"; y="q \" \\ \a"`, "a", []param{{"x", "1; 2"}, {"y", `q " \ a`}}, true},
		{`a; x="1" ignored; y=2`, "a", []param{{"x", "1"}, {"y", "2"}}, true},
		{`a; x= "1"`, "a", []param{{"x", `"1"`}}, true}, // quotes count at once behind = only
		{`"a;b"; x=1`, `"a`, []param{{`b"`, ""}, {"x", "1"}}, true},
		{`a; x="1`, "a", nil, false},
		{`a; x="1\`, "a", nil, false},
		{`a; x="`, "a", nil, false},
	} {
		value, params, ok := parseValue(tt.in)
		if value != tt.value || !slices.Equal(params, tt.params) || ok != tt.ok {
			t.Errorf("parseValue(%q) = %q, %q, %v, want %q, %q, %v", tt.in, value, params, ok, tt.value, tt.params, tt.ok)
		}
	}
	if v, ok := find([]param{{"Prev-ID", "5"}, {"prev-id", "6"}}, "prev-id"); v != "5" || !ok {
		t.Errorf("find = %q, %v, want the first one", v, ok)
	}
}

// Each of these takes very long when something is read again and again, and milliseconds when it is not.
func TestParsingIsLinear(t *testing.T) {
	const n = 256 << 10
	for _, unit := range []string{",", `"`, `\`, `"\`, `a="`, ";", "a=b;", "=", "c;filter=x,", `=";`} {
		value := strings.Repeat(unit, n/len(unit))
		start := time.Now()
		for _, element := range splitList(value) {
			parseValue(element)
			parseParams(element)
		}
		parseParams(value)
		unescape(value)
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("%d bytes of %q took %v", n, unit, took)
		}
	}
	body := `{"hold":{"channels":[` + strings.Repeat(`{"name":"a","filters":["x"]},`, 10000) + `{"name":"b"}]},"response":{"headers":[` +
		strings.Repeat(`["a","b"],`, 10000) + `["c","d"]]}}`
	if in := mustJSON(t, body); len(in.Channels) != 2 || len(in.Response.Fields) != 10001 {
		t.Errorf("%d channels and %d fields", len(in.Channels), len(in.Response.Fields))
	}
}
