package token

import "testing"

func TestBearer(t *testing.T) {
	for _, tt := range []struct {
		value, want string
		ok          bool
	}{
		{"Bearer a.b.c", "a.b.c", true},
		{"bearer a.b.c", "a.b.c", true},
		{"BEARER   a.b.c \t", "a.b.c", true},
		{"  Bearer a", "a", true},
		{"Bearer", "", true},
		{"Bearer ", "", true},
		{"Bearer a b", "a b", true}, // for Verify to refuse
		{"", "", false},
		{"Bear", "", false},
		{"Bearera.b.c", "", false},
		{"Bearer\ta", "", false},
		{"Bearer=a", "", false},
		{"Basic Bearer", "", false},
		{"Bea\u212aer a", "", false},
		{"a.b.c", "", false},
	} {
		got, ok := Bearer([]byte(tt.value))
		if string(got) != tt.want || ok != tt.ok {
			t.Errorf("Bearer(%q) = %q, %v, want %q, %v", tt.value, got, ok, tt.want, tt.ok)
		}
	}
}

func TestCookie(t *testing.T) {
	for _, tt := range []struct {
		field, want string
		ok          bool
	}{
		{"t=a.b.c", "a.b.c", true},
		{"x=1; t=a.b.c; y=2", "a.b.c", true},
		{"x=1;t=a.b.c;y=2", "a.b.c", true},
		{" \tx=1 ; t = a.b.c ", "a.b.c", true},
		{`t="a.b.c"`, "a.b.c", true},
		{`t="a`, `"a`, true},
		{`t="`, `"`, true},
		{`t=""`, "", true},
		{"t=", "", true},
		{"t=a=b", "a=b", true},
		{"t=first; t=second", "first", true},
		{";;t=a;", "a", true},
		{"t; t=a", "a", true},
		{"xt=1; tx=2; t=3", "3", true},
		{`x="; t=evil"; t=a`, `evil"`, true}, // quotes do not protect a semicolon: RFC 6265 4.1.1 has none in values
		{"", "", false},
		{"t", "", false},
		{"T=a", "", false},
		{"x=t=a", "", false},
		{"=t", "", false},
		{"x=1, t=a", "", false},
	} {
		got, ok := Cookie([]byte(tt.field), "t")
		if string(got) != tt.want || ok != tt.ok {
			t.Errorf("Cookie(%q) = %q, %v, want %q, %v", tt.field, got, ok, tt.want, tt.ok)
		}
	}
	if got, ok := Cookie([]byte("=a"), ""); ok {
		t.Errorf("Cookie without a name = %q", got)
	}
}

func TestNothingOnTheLoopAllocates(t *testing.T) {
	c := Claims{Channels: []string{"news", "room-*"}}
	value, field, channel := []byte("bearer a.b.c"), []byte("x=1; t=a.b.c"), []byte("room-17")
	for name, f := range map[string]func(){
		"Bearer": func() { Bearer(value) },
		"Cookie": func() { Cookie(field, "t") },
		"Allows": func() { c.Allows(channel) },
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s allocates %v times, want 0", name, n)
		}
	}
}
