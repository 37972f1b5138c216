package grip

import (
	"slices"
	"strings"
	"testing"
)

func TestFilterNames(t *testing.T) {
	for i, name := range filterNames {
		if f := FilterByName(name); f != 1<<i || f.String() != name {
			t.Errorf("FilterByName(%q) = %d (%s)", name, f, f)
		}
	}
	for _, name := range []string{"", "Skip-Self", "skip-self ", "skip"} {
		if f := FilterByName(name); f != 0 {
			t.Errorf("FilterByName(%q) = %s, want none", name, f)
		}
	}
	if got := (SkipSelf | HTTPModify).String(); got != "skip-self, http-modify" {
		t.Errorf("String = %q", got)
	}
}

// What is advertised is what is served, in the order of the reference.
func TestFeatureNamesTheServedFilters(t *testing.T) {
	want := []string{"status"}
	for i, name := range filterNames {
		if Served&(1<<i) != 0 {
			want = append(want, "filter:"+name)
		}
	}
	if got := strings.Split(Feature, ", "); !slices.Equal(got, want) {
		t.Errorf("Feature = %q, want %q", got, want)
	}
}

func TestAllowsByFilter(t *testing.T) {
	type meta = map[string]string
	for _, tt := range []struct {
		meta   meta
		filter Filter
		user   string
		subs   string // the client's channels
		want   bool
	}{
		{nil, Served, "al", "", true},
		{meta{"sender": "al"}, SkipSelf, "al", "", false},
		{meta{"sender": "al"}, SkipSelf, "bo", "", true},
		{meta{"sender": "al"}, SkipUsers | RequireSub, "al", "", true},
		{meta{"sender": ""}, SkipSelf, "", "", true},
		{meta{"sender": "al"}, SkipSelf, "", "", true},
		{meta{"skip_users": "bo, al ,"}, SkipUsers, "al", "", false},
		{meta{"skip_users": "bo, al ,"}, SkipUsers, "a", "", true},
		{meta{"skip_users": "bo, al ,"}, SkipUsers, "", "", true},
		{meta{"skip_users": "al"}, SkipSelf, "al", "", true},
		{meta{"require_sub": "vip"}, RequireSub, "", "a vip", true},
		{meta{"require_sub": "vip"}, RequireSub, "", "a", false},
		{meta{"require_sub": "vip"}, SkipSelf, "", "a", true},
		{meta{"require_sub": ""}, RequireSub, "", "", true},
		{meta{"require_sub": "vip", "skip_users": "al"}, Served, "al", "vip", false},
		{meta{"require_sub": "vip", "sender": "al"}, BuildID | VarSubst, "al", "", true},
	} {
		m := NewMatch(tt.meta)
		subscribed := func(channel string) bool { return slices.Contains(strings.Fields(tt.subs), channel) }
		if got := Allows(&m, tt.filter, tt.user, subscribed); got != tt.want {
			t.Errorf("%v: Allows(%s, %q) of a client of %q = %v, want %v", tt.meta, tt.filter, tt.user, tt.subs, got, tt.want)
		}
		if got := Allows(&m, tt.filter, []byte(tt.user), subscribed); got != tt.want {
			t.Errorf("%v: Allows(%s, %q) from bytes = %v, want %v", tt.meta, tt.filter, tt.user, got, tt.want)
		}
		if m.Filters()&tt.filter == 0 && !tt.want {
			t.Errorf("%v: Filters = %s, but %s filters", tt.meta, m.Filters(), tt.filter)
		}
	}
}

func TestAllowsDoesNotAllocate(t *testing.T) {
	m := NewMatch(map[string]string{"sender": "al", "skip_users": "bo,cy", "require_sub": "vip"})
	user := []byte("dora")
	subscribed := func(string) bool { return true }
	if n := testing.AllocsPerRun(100, func() { Allows(&m, Served, user, subscribed) }); n != 0 {
		t.Errorf("Allows allocates %v times, want 0", n)
	}
}
