package stats

import (
	"maps"
	"reflect"
	"testing"
)

func TestAddAndSince(t *testing.T) {
	quiet := Kernel{TCPMemPressure: 1 << 30, TCPMemLimit: 2 << 30, TCPSockets: 5}
	a := Snapshot{
		Connections: Connections{Total: 3, WS: 3}, Accepted: 10, Closed: map[string]uint64{"client": 7}, Published: 5, Delivered: 50,
		UptimeSeconds: 9, PID: 7, Version: "1", Kernel: quiet, Loops: make([]LoopSnapshot, 2), Backends: &Backends{Requests: 4, Errors: map[string]uint64{"dial": 1}},
	}
	b := Snapshot{
		Connections: Connections{Total: 2, Events: 2}, Accepted: 4, Closed: map[string]uint64{"client": 1, "slow": 1}, UptimeSeconds: 8, PID: 8, Version: "2",
		Loops: make([]LoopSnapshot, 1), Backends: &Backends{Requests: 1, Errors: map[string]uint64{"dial": 1}, ReloadFailures: 2},
	}
	var sum Snapshot
	sum.Add(&a)
	if sum.Kernel != quiet || sum.Version != "1" {
		t.Errorf("of one: kernel %+v, version %s", sum.Kernel, sum.Version)
	}
	sum.Add(&b)
	if sum.Connections != (Connections{Total: 5, WS: 3, Events: 2}) || sum.Accepted != 14 || !maps.Equal(sum.Closed, map[string]uint64{"client": 8, "slow": 1}) ||
		sum.UptimeSeconds != 9 || sum.PID != 0 || sum.Version != "several" || len(sum.Loops) != 3 || sum.Kernel != quiet ||
		sum.Backends.Requests != 5 || sum.Backends.Errors["dial"] != 2 || sum.Backends.ReloadFailures != 2 {
		t.Errorf("sum %+v, backends %+v", sum, sum.Backends)
	}
	if !maps.Equal(a.Closed, map[string]uint64{"client": 7}) {
		t.Errorf("what was added has changed: %v", a.Closed)
	}
	later := a
	later.Accepted, later.Closed, later.Published = 12, map[string]uint64{"client": 9, "slow": 1}, 4
	d := later.Since(&a)
	if d.Accepted != 2 || !maps.Equal(d.Closed, map[string]uint64{"client": 2, "slow": 1}) || d.Published != 0 || d.Delivered != 0 || d.Connections != a.Connections {
		t.Errorf("since %+v", d)
	}
}

// Add forgets no figure that a snapshot gets later.
func TestAddTakesEveryFigure(t *testing.T) {
	var one Snapshot
	fill(reflect.ValueOf(&one).Elem())
	var sum Snapshot
	sum.Add(&one)
	v := reflect.ValueOf(sum)
	for i := range v.NumField() {
		if name := v.Type().Field(i).Name; name != "PID" && v.Field(i).IsZero() {
			t.Errorf("%s is not in the sum", name)
		}
	}
}

// fill sets all numbers, texts and maps of v to something.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i))
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Map:
		v.Set(reflect.ValueOf(map[string]uint64{"x": 1}))
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
	case reflect.Array:
		for i := range v.Len() {
			fill(v.Index(i))
		}
	case reflect.String:
		v.SetString("x")
	case reflect.Float64:
		v.SetFloat(1)
	case reflect.Int, reflect.Int64:
		v.SetInt(1)
	case reflect.Uint64:
		v.SetUint(1)
	}
}
