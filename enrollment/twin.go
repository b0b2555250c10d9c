package enrollment

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/zerotouch-dps/dps"
)

// Limits of a device twin (IoT Hub, "Understand and use device twins"): better to
// refuse the enrollment than each of its devices.
const (
	MaxTagsSize    = 8 << 10  // bytes
	MaxDesiredSize = 32 << 10 // bytes
	MaxTwinDepth   = 10
	maxTwinKey     = 1 << 10 // bytes
	maxTwinString  = 4 << 10 // bytes
	maxTwinInteger = 1 << 53 // to either side: the hub keeps numbers as doubles
)

// normalizeTwin strips what services add to a twin when it is read ($version and
// $metadata), checks the hub's limits, and forgets what is empty.
func (s *Settings) normalizeTwin() error {
	if s.InitialTwin == nil {
		return nil
	}
	checked, err := s.InitialTwin.Checked()
	if err == nil {
		s.InitialTwin = checked
	}
	return err
}

// Checked returns the twin without what services add to it when it is read, held to the
// hub's limits; nil when nothing is left. Errors: [dps.InvalidArgument].
func (t *InitialTwin) Checked() (*InitialTwin, error) {
	tags, err := section("initialTwin.tags", t.Tags, MaxTagsSize)
	if err != nil {
		return nil, err
	}
	desired, err := section("initialTwin.properties.desired", t.Desired, MaxDesiredSize)
	if err != nil || tags == nil && desired == nil {
		return nil, err
	}
	return &InitialTwin{Tags: tags, Desired: desired}, nil
}

func section(field string, raw json.RawMessage, limit int) (json.RawMessage, error) {
	raw, err := object(field, raw)
	if raw == nil || err != nil {
		return nil, err
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil {
		return nil, dps.Invalid(field, "json", "is not a JSON object")
	}
	before := len(members)
	delete(members, "$version")
	delete(members, "$metadata")
	if len(members) == 0 {
		return nil, nil
	}
	if len(members) != before {
		if raw, err = json.Marshal(members); err != nil {
			return nil, dps.Invalid(field, "json", "is not a JSON object")
		}
	}
	return raw, checkSection(field, raw, limit)
}

func checkSection(field string, raw json.RawMessage, limit int) error {
	var value any
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber() // so that its very digits are judged
	if err := decoder.Decode(&value); err != nil {
		return dps.Invalid(field, "json", "is not a JSON object")
	}
	size, err := measure(field, value, 0)
	if err != nil {
		return err
	}
	if size > limit {
		return dps.Invalid(field, "size", "is "+strconv.Itoa(size)+" bytes as the hub counts; "+strconv.Itoa(limit)+" is the most")
	}
	return nil
}

// measure returns a value's size as the hub counts it: keys and strings by their
// UTF-8 length, numbers 8, booleans 4, structure nothing.
func measure(path string, value any, depth int) (int, error) {
	switch v := value.(type) {
	case map[string]any:
		return measureObject(path, v, depth+1)
	case []any:
		return measureArray(path, v, depth+1)
	case string:
		if len(v) > maxTwinString {
			return 0, dps.Invalid(path, "size", "is a text of more than 4096 bytes")
		}
		return len(v), nil
	case json.Number:
		return 8, checkTwinNumber(path, v)
	case bool:
		return 4, nil
	}
	return 0, nil
}

// checkTwinNumber refuses what the hub could not keep.
func checkTwinNumber(path string, n json.Number) error {
	if strings.ContainsAny(n.String(), ".eE") {
		if _, err := n.Float64(); err != nil {
			return dps.Invalid(path, "number", "is beyond what a double holds")
		}
		return nil
	}
	if i, err := n.Int64(); err != nil || i > maxTwinInteger || i < -maxTwinInteger {
		return dps.Invalid(path, "number", "is an integer beyond 2^53, which hubs don't keep; write it as text")
	}
	return nil
}

func measureObject(path string, object map[string]any, depth int) (int, error) {
	if depth > MaxTwinDepth {
		return 0, tooDeep(path)
	}
	total := 0
	for key, value := range object {
		if err := checkTwinKey(path, key); err != nil {
			return 0, err
		}
		size, err := measure(path+"."+key, value, depth)
		if err != nil {
			return 0, err
		}
		total += len(key) + size
	}
	return total, nil
}

func measureArray(path string, array []any, depth int) (int, error) {
	if depth > MaxTwinDepth {
		return 0, tooDeep(path)
	}
	total := 0
	for i, value := range array {
		size, err := measure(path+"["+strconv.Itoa(i)+"]", value, depth)
		if err != nil {
			return 0, err
		}
		total += size
	}
	return total, nil
}

func tooDeep(path string) error {
	return dps.Invalid(path, "depth", "is nested deeper than 10 levels")
}

func checkTwinKey(path, key string) error {
	if key == "" || len(key) > maxTwinKey || !utf8.ValidString(key) {
		return dps.Invalid(path, "key", "has a key that is empty or longer than 1024 bytes")
	}
	for _, r := range key {
		if r < ' ' || 0x7f <= r && r <= 0x9f || r == '.' || r == '$' || r == ' ' {
			return dps.Invalid(path, "key", "has the key "+strconv.Quote(key)+"; keys must not hold control characters, '.', '$' or blanks")
		}
	}
	return nil
}
