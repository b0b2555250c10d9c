package hubemulator

import "encoding/json"

// sizeOf returns the bytes that a part of a twin counts for (IoT Hub, "Device twins"):
// names and texts by their UTF-8 length, numbers 8, booleans 4, structure nothing.
func sizeOf(value any) int {
	switch v := value.(type) {
	case object:
		return sizeOf(map[string]any(v))
	case map[string]any:
		total := 0
		for name, member := range v {
			total += len(name) + sizeOf(member)
		}
		return total
	case []any:
		total := 0
		for _, one := range v {
			total += sizeOf(one)
		}
		return total
	case string:
		return len(v)
	case json.Number:
		return 8
	case bool:
		return 4
	}
	return 0
}
