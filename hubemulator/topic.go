package hubemulator

import "strings"

// filter is something that devices subscribe to.
type filter int

const (
	twinReplies filter = iota
	desiredChanges
	cloudToDevice
	methodCalls
	filters
)

const (
	twinReplyTopic = "$iothub/twin/res/"
	desiredTopic   = "$iothub/twin/PATCH/properties/desired/"
	methodTopic    = "$iothub/methods/POST/"
	twinGetTopic   = "$iothub/twin/GET/"
	reportedTopic  = "$iothub/twin/PATCH/properties/reported/"
	methodReply    = "$iothub/methods/res/"
)

// parseFilter reads what a device subscribes to.
func parseFilter(text, deviceID string) (filter, bool) {
	switch text {
	case twinReplyTopic + "#":
		return twinReplies, true
	case desiredTopic + "#":
		return desiredChanges, true
	case methodTopic + "#":
		return methodCalls, true
	}
	if path, ok := ownTopic(text, deviceID); ok && path == "messages/devicebound/#" {
		return cloudToDevice, true
	}
	return 0, false
}

// ownTopic returns what follows devices/{deviceId}/, of this device's topics.
func ownTopic(topic, deviceID string) (string, bool) {
	rest, ok := strings.CutPrefix(topic, "devices/")
	id, path, found := strings.Cut(rest, "/")
	return path, ok && found && sameName(id, deviceID)
}

// saying is what a device says by publishing.
type saying int

const (
	sayNothing saying = iota
	sayTelemetry
	sayGetTwin
	sayReported
	sayMethodResult
)

// said is a topic that a device publishes to.
type said struct {
	what       saying
	rid        string // of a request; given back literally
	properties string // of telemetry, as they were written
}

// parseTopic reads what a device publishes to; false when there is no such topic.
func parseTopic(topic, deviceID string) (said, bool) {
	for prefix, what := range map[string]saying{
		twinGetTopic: sayGetTwin, reportedTopic: sayReported, methodReply: sayMethodResult,
	} {
		if rest, ok := strings.CutPrefix(topic, prefix); ok {
			return said{what: what, rid: ridOf(rest)}, true
		}
	}
	path, ok := ownTopic(topic, deviceID)
	properties, telemetry := strings.CutPrefix(path, "messages/events")
	if !ok || !telemetry || properties != "" && properties[0] != '/' {
		return said{}, false
	}
	return said{what: sayTelemetry, properties: strings.Trim(properties, "/")}, true
}

// ridOf returns the member $rid of a topic's query.
func ridOf(rest string) string {
	_, query, _ := strings.Cut(rest, "?")
	for pair := range strings.SplitSeq(query, "&") {
		if rid, ok := strings.CutPrefix(pair, "$rid="); ok {
			return rid
		}
	}
	return ""
}
