package hub

import (
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"holdfast/pkg/publish"
)

// fill sets everything that v holds to something that is not zero, by a running number.
func fill(v reflect.Value, n *int) {
	*n++
	switch v.Kind() {
	case reflect.String:
		v.SetString(strings.Repeat(string(rune('a'+*n%26)), *n%7+1))
	case reflect.Int:
		v.SetInt(int64(*n*1000) * int64(1-2*(*n%2))) // of both signs
	case reflect.Uint8:
		v.SetUint(uint64(*n%3 + 1))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), n)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 3, 3))
		for i := range 3 {
			fill(v.Index(i), n)
		}
	case reflect.Map:
		v.Set(reflect.ValueOf(map[string]string{"k": "v", "": "empty", "l": ""}))
	default:
		panic("a field of kind " + v.Kind().String())
	}
}

func pack(it *publish.Item) string { return string(appendPacked(nil, it)) }

func unpacked(it *publish.Item) publish.Item {
	got := publish.Item{Channel: it.Channel}
	unpack(pack(it), &got)
	return got
}

// An Item that has a new field fails here until pack knows it.
func TestPackTakesEveryField(t *testing.T) {
	var it publish.Item
	n := 0
	fill(reflect.ValueOf(&it).Elem(), &n)
	it.Alias = "" // follows from the number
	if got := unpacked(&it); !reflect.DeepEqual(got, it) {
		t.Errorf("unpacked %+v\nwant     %+v", got, it)
	}
	// And each of the fields alone.
	for i := range reflect.TypeFor[publish.Item]().NumField() {
		if reflect.TypeFor[publish.Item]().Field(i).Name == "Alias" {
			continue
		}
		var one publish.Item
		field := reflect.ValueOf(&one).Elem().Field(i)
		fill(field, &n)
		if got := unpacked(&one); !reflect.DeepEqual(got, one) {
			t.Errorf("unpacked %+v\nwant     %+v", got, one)
		}
		if field.Kind() != reflect.Struct {
			continue
		}
		for j := range field.NumField() {
			field.SetZero()
			fill(field.Field(j), &n)
			if got := unpacked(&one); !reflect.DeepEqual(got, one) {
				t.Errorf("unpacked %+v\nwant     %+v", got, one)
			}
		}
	}
}

// Contents that are equal, begin with each other, are empty or are far longer than the small buffer come back as they were.
func TestPackSharesContents(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 1))
	for range 5000 {
		base := strings.Repeat("x", rnd.IntN(10)*rnd.IntN(200))
		part := func() string {
			switch rnd.IntN(4) {
			case 0:
				return ""
			case 1:
				return base[:rnd.IntN(len(base)+1)]
			case 2:
				return base + "\n"
			}
			return base
		}
		it := publish.Item{
			Channel: "c", Formats: publish.Format(rnd.IntN(16)), ID: part(), Epoch: part(),
			Stream: publish.Stream{Content: part()}, Response: publish.Response{Body: part()},
			Message: publish.Message{Content: part()}, Event: publish.Event{Data: part(), ID: part()},
		}
		if got := unpacked(&it); !reflect.DeepEqual(got, it) {
			t.Fatalf("unpacked %+v\nwant     %+v", got, it)
		}
	}
	it := threeFormats("c")
	if n := len(pack(&it)); n > 101+20 {
		t.Errorf("an item of three formats with the same 100 bytes is packed in %d bytes, want little more than 101", n)
	}
}

func TestPackedItemSharesNoMemory(t *testing.T) {
	buf := []byte(strings.Repeat("content", 200))
	it := stream("c", unsafeString(buf))
	it.ID = unsafeString(buf[:10])
	want := string(buf)
	packed := pack(&it)
	clear(buf)
	var got publish.Item
	unpack(packed, &got)
	if got.Stream.Content != want || got.ID != want[:10] {
		t.Errorf("the packed item changed with the buffer of the published one")
	}
}

func TestHasID(t *testing.T) {
	for _, tt := range []struct {
		id, event, ask string
		want           bool
	}{
		{"", "", "", false},
		{"a", "", "a", true},
		{"a", "", "", false},
		{"a", "b", "b", true},
		{"", "b", "b", true},
		{"a", "b", "ab", false},
		{"a", "b", "c", false},
	} {
		it := stream("c", "x")
		it.ID, it.Event.ID = tt.id, tt.event
		packed := pack(&it)
		if got := hasID(packed, []byte(tt.ask)); got != tt.want {
			t.Errorf("hasID(%q of the item and %q of its event, %q) = %v", tt.id, tt.event, tt.ask, got)
		}
		if got := hasID(packedIDs(packed), []byte(tt.ask)); got != tt.want {
			t.Errorf("hasID(ids alone: %q and %q, %q) = %v", tt.id, tt.event, tt.ask, got)
		}
	}
}
