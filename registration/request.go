package registration

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/internal/peer"
)

// Request is a device's request, whatever the transport.
type Request struct {
	Scope      dps.IDScope
	ID         dps.RegistrationID // as the device spelled it
	Evidence   attestation.Evidence
	Payload    json.RawMessage // nil: none
	APIVersion string
	Transport  string // "https", "mqtt", "mqtt-ws", "amqp", "amqp-ws"
	Origin     peer.Origin
	AskWebhook bool // of an explanation: put the question where a webhook chooses
}

// Result is the answer to a device.
type Result struct {
	Registration Registration
	// RetryAfter is when polling makes sense, while Status is [Assigning].
	RetryAfter time.Duration
	// Enrollment names the entry that decided, for the log.
	Enrollment string
}

// digest says what makes two concurrent requests of one device the same: body, proof
// and the version of the enrollment.
func digest(r *Request, p attestation.Proof, etag dps.ETag) string {
	h := sha256.New()
	part := func(b []byte) {
		sum := sha256.Sum256(b)
		h.Write(sum[:])
	}
	part(r.Payload)
	part([]byte(p.Kind))
	if p.Leaf != nil {
		part([]byte(p.Leaf.SHA256))
	}
	if p.Secondary {
		part([]byte("secondary"))
	}
	if p.TPM != nil {
		part(p.TPM.StorageRoot)
	}
	part([]byte(etag))
	return hex.EncodeToString(h.Sum(nil)[:16])
}
