package attack_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/internal/testpki"
	"github.com/zerotouch-dps/dps/openapi/service"
)

const (
	deviceKey = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
	strayKey  = "c3RyYXlzdHJheXN0cmF5c3RyYXlzdHJheXN0cmF5c3Q="
	groupKey  = "Z3JvdXBncm91cGdyb3VwZ3JvdXBncm91cGdyb3VwZ3I="
)

// sign makes a token independently of the package under attack.
func sign(sr, se, key string) string {
	raw, err := base64.StdEncoding.DecodeString(key)
	if err != nil {
		panic(err)
	}
	mac := hmac.New(sha256.New, raw)
	mac.Write([]byte(sr + "\n" + se))
	return "SharedAccessSignature sr=" + sr + "&sig=" + url.QueryEscape(base64.StdEncoding.EncodeToString(mac.Sum(nil))) + "&se=" + se
}

// tokens are attacks with symmetric keys; each device is enrolled with deviceKey.
func tokens(w *world) []attack {
	scope := w.d.Ready.IDScope
	soon := strconv.FormatInt(w.now.Add(time.Hour).Unix(), 10)
	resource := func(scope, id string) string { return url.QueryEscape(scope + "/registrations/" + id) }
	var rows []attack
	add := func(name, reason string, token func(id string) string) {
		rows = append(rows, attack{name: name, reason: reason, play: func(id string) shown {
			w.key(id, deviceKey)
			return shown{token: token(id)}
		}})
	}
	const neither = "token is signed with neither key"
	add("another key", neither, func(id string) string { return sign(resource(scope, id), soon, strayKey) })
	add("the empty key", neither, func(id string) string { return sign(resource(scope, id), soon, "") })
	add("a token of another device, with a key that both have", "token is for another resource", func(string) string { return sign(resource(scope, "other"), soon, deviceKey) })
	add("a token of another scope", "token is for another resource", func(id string) string { return sign(resource("0ne00FFFFFF", id), soon, deviceKey) })
	add("a resource that begins alike", "token is for another resource", func(id string) string { return sign(resource(scope, id+"x"), soon, deviceKey) })
	add("a resource above the device", "token is for another resource", func(string) string { return sign(scope+"%2Fregistrations", soon, deviceKey) })
	add("a token for the hub", "token is for another resource", func(id string) string { return sign("hub.example%2Fdevices%2F"+id, soon, deviceKey) })
	add("a resource with a Kelvin sign", "token is for another resource", func(id string) string {
		return sign(resource(scope, strings.Replace(id, "k", "\u212a", 1)), soon, deviceKey)
	})
	add("expired", "token expired", func(id string) string {
		return sign(resource(scope, id), strconv.FormatInt(w.now.Add(-time.Hour).Unix(), 10), deviceKey)
	})
	add("expired, life prolonged after signing", neither, func(id string) string {
		past := strconv.FormatInt(w.now.Add(-time.Hour).Unix(), 10)
		return strings.Replace(sign(resource(scope, id), past, deviceKey), "se="+past, "se="+soon, 1)
	})
	for _, se := range []string{"99999999999999999999", "9223372036854775807", "-1", "0x7fffffff", "never", "1e12"} {
		add("expiry "+se, "token expired", func(id string) string { return sign(resource(scope, id), se, deviceKey) })
	}
	add("key name of a policy of the service", neither, func(id string) string {
		return sign(resource(scope, id), soon, strayKey) + "&skn=provisioningserviceowner"
	})
	add("key name that carries fields", neither, func(id string) string {
		return sign(resource(scope, id), soon, strayKey) + "&skn=registration%26sig%3Dx"
	})
	add("two resources", "token has a field twice", func(id string) string {
		return sign(resource(scope, id), soon, deviceKey) + "&sr=" + resource(scope, "other")
	})
	add("two signatures", "token has a field twice", func(id string) string { return sign(resource(scope, id), soon, strayKey) + "&sig=YQ%3D%3D" })
	add("two expiries", "token has a field twice", func(id string) string { return sign(resource(scope, id), "1", deviceKey) + "&se=" + soon })
	add("no signature", "token lacks sr, sig or se", func(id string) string { return "SharedAccessSignature sr=" + resource(scope, id) + "&sig=&se=" + soon })
	add("signature that is cut short", neither, func(id string) string {
		return "SharedAccessSignature sr=" + resource(scope, id) + "&sig=" + url.QueryEscape("AAAA") + "&se=" + soon
	})
	add("another scheme", "authorization is not a SharedAccessSignature", func(string) string { return "Basic YTpi" })
	return append(rows, mixed(w, soon, resource)...)
}

// mixed are attacks with the credentials of groups, and with two kinds at once.
func mixed(w *world, soon string, resource func(scope, id string) string) []attack {
	scope, kind, key := w.d.Ready.IDScope, "symmetricKey", groupKey
	_, err := w.d.Service.PutEnrollmentGroup(w.t.Context(), "keys", service.EnrollmentGroup{Attestation: &service.AttestationMechanism{
		Type: &kind, SymmetricKey: &service.SymmetricKeyAttestation{PrimaryKey: &key},
	}})
	w.need(err)
	derived := func(id string) string {
		k, err := attestation.DeriveDeviceKey(dps.NewSecret(groupKey), id)
		w.need(err)
		return k.Reveal()
	}
	const none = "token is signed with no key derived from the group's"
	return []attack{
		{name: "group: the group's own key", reason: none, play: func(id string) shown { return shown{token: sign(resource(scope, id), soon, groupKey)} }},
		{name: "group: another device's key", reason: none, play: func(id string) shown { return shown{token: sign(resource(scope, id), soon, derived("other"))} }},
		{name: "group: another device's token", reason: none, play: func(string) shown { return shown{token: sign(resource(scope, "other"), soon, derived("other"))} }},
		{name: "group: the device's own", admitted: true, play: func(id string) shown { return shown{token: sign(resource(scope, id), soon, derived(id))} }},
		{name: "enrolled with a key of its own, comes with the group's", reason: "token is signed with neither key", play: func(id string) shown {
			w.key(id, deviceKey)
			return shown{token: sign(resource(scope, id), soon, derived(id))}
		}},
		{name: "certificate that is good, and a token that is not", reason: "attests by x509, the device shows symmetricKey", play: func(id string) shown {
			self := w.made(testpki.SelfSigned(id, w.now))
			w.pin(id, self, true)
			s := chain(self, 0)
			s.token = sign(resource(scope, id), soon, strayKey)
			return s
		}},
		{name: "certificate of a stranger, and a token that is good", admitted: true, play: func(id string) shown {
			w.key(id, deviceKey)
			s := chain(w.made(testpki.SelfSigned("somebody-else", w.now)), 0)
			s.token = sign(resource(scope, id), soon, deviceKey)
			return s
		}},
		{name: "enrolled with a key, comes with a certificate of the group's CA", reason: "attests by symmetricKey, the device shows x509", play: func(id string) shown {
			w.key(id, deviceKey)
			return chain(w.made(w.root.Leaf(id, w.now)), 0)
		}},
	}
}
