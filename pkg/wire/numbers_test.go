package wire

import (
	"errors"
	"math"
	"math/big"
	"reflect"
	"strings"
	"testing"

	"github.com/vmihailenco/msgpack/v5"
)

// wholeFields calls f with the keys that lead to each whole number of t, from the outside in.
func wholeFields(t reflect.Type, keys []string, f func(keys []string, t reflect.Type)) {
	for field := range t.Fields() {
		tag, _, _ := strings.Cut(field.Tag.Get("msgpack"), ",")
		keys := append(keys[:len(keys):len(keys)], tag)
		switch v := reflect.Zero(field.Type); {
		case v.CanInt() || v.CanUint():
			f(keys, field.Type)
		case field.Type.Kind() == reflect.Struct:
			wholeFields(field.Type, keys, f)
		}
	}
}

// at returns the field of v that keys lead to.
func at(v reflect.Value, keys []string) reflect.Value {
	for _, key := range keys {
		for field := range v.Type().Fields() {
			if tag, _, _ := strings.Cut(field.Tag.Get("msgpack"), ","); tag == key {
				v = v.FieldByIndex(field.Index)
				break
			}
		}
	}
	return v
}

// coldMessage is a message whose map has the number at keys.
func coldMessage(t *testing.T, keys []string, number any) Message {
	t.Helper()
	body := number
	for i := len(keys) - 1; i >= 0; i-- {
		body = map[string]any{keys[i]: body}
	}
	b, err := msgpack.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	return Message{Type: 99, fields: 1, body: b}
}

func bigOf(number any) *big.Int {
	if n, ok := number.(int64); ok {
		return big.NewInt(n)
	}
	return new(big.Int).SetUint64(number.(uint64))
}

// checkBounds reads every number of B at its bounds. It is read as what it is, or refused by name.
func checkBounds[B Body](t *testing.T) {
	wholeFields(reflect.TypeFor[B](), nil, func(keys []string, ft reflect.Type) {
		for _, number := range []any{
			int64(math.MinInt64), int64(math.MinInt32) - 1, int64(-129), int64(-1), int64(0), int64(math.MaxInt64),
			uint64(128), uint64(256), uint64(math.MaxUint32) + 1, uint64(math.MaxInt64), uint64(1 << 63), uint64(math.MaxUint64),
		} {
			var body B
			err := ParseCold(coldMessage(t, keys, number), &body)
			v := at(reflect.ValueOf(body), keys)
			got := new(big.Int)
			if v.CanInt() {
				got.SetInt64(v.Int())
			} else {
				got.SetUint64(v.Uint())
			}
			want := bigOf(number)
			fits := v.CanInt() && want.IsInt64() && !v.OverflowInt(want.Int64()) ||
				v.CanUint() && want.IsUint64() && !v.OverflowUint(want.Uint64())
			name := keys[len(keys)-1]
			switch {
			case fits && (err != nil || got.Cmp(want) != 0):
				t.Errorf("%T: %s %s is read as %s, %v", body, name, want, got, err)
			case !fits && (!errors.Is(err, &Error{Code: BadRequest}) || !strings.Contains(err.Error(), name+" is "+want.String())):
				t.Errorf("%T: %s %s is read as %s, %v, want it to be refused", body, name, want, got, err)
			}
		}
	})
}

func TestNumbersAreReadAsTheyAreOrRefused(t *testing.T) {
	checkBounds[Hello](t)
	checkBounds[Failure](t)
	checkBounds[Request](t)
	checkBounds[Subscribe](t)
	checkBounds[Snapshot](t)
	checkBounds[ConnectionsRequest](t)
	checkBounds[Connections](t)
	checkBounds[ChannelsRequest](t)
	checkBounds[Channels](t)
	checkBounds[Routes](t)
	checkBounds[CloseRequest](t)
	checkBounds[Closed](t)
	checkBounds[EventsSubscribe](t)
	checkBounds[Events](t)
}

func TestNumbersInListsAreChecked(t *testing.T) {
	for n, want := range map[uint64]bool{math.MaxInt64: true, 1 << 63: false, math.MaxUint64: false} {
		var list Connections
		m := coldMessage(t, []string{"list", "connections"}, []any{map[string]any{"x": 1, "queued_bytes": n}})
		err := ParseCold(m, &list)
		if want && (err != nil || list.List.Connections[0].QueuedBytes != math.MaxInt64) ||
			!want && !errors.Is(err, &Error{Code: BadRequest}) {
			t.Errorf("queued_bytes %d of a connection in a list: %+v, %v", n, list, err)
		}
	}
}

func TestHelloWithAVersionOutOfRangeIsBad(t *testing.T) {
	hello := append([]byte(Magic), 0, 0, 0, 20, 0x92, 0x01, 0x81, 0xa7)
	hello = append(append(hello, "version"...), 0xcf, 0x80, 0, 0, 0, 0, 0, 0, 0)
	h, err := ReadHello(NewReader(strings.NewReader(string(hello)), MaxFrame))
	if !errors.Is(err, &Error{Code: BadHello}) || !strings.Contains(err.Error(), "version is 9223372036854775808") {
		t.Errorf("ReadHello with version 2^63 = %+v, %v, want a bad hello", h, err)
	}
}
