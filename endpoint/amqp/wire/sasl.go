package wire

// SASLCode is the outcome of authentication.
type SASLCode uint8

// The outcomes (AMQP 1.0, part 5, 5.3.3.6).
const (
	SASLOk      SASLCode = 0
	SASLAuth    SASLCode = 1 // the credential is refused
	SASLSys     SASLCode = 2
	SASLSysPerm SASLCode = 3
	SASLSysTemp SASLCode = 4 // try again
)

// SASLMechanisms is what the server offers.
type SASLMechanisms struct {
	saslFrame
	Mechanisms Symbols
}

// SASLInit is what the client chose.
type SASLInit struct {
	saslFrame
	Mechanism Symbol
	Response  []byte // nil: none
	Hostname  string
}

// SASLChallenge asks the client.
type SASLChallenge struct {
	saslFrame
	Challenge []byte
}

// SASLResponse answers a challenge.
type SASLResponse struct {
	saslFrame
	Response []byte
}

// SASLOutcome ends the SASL layer.
type SASLOutcome struct {
	saslFrame
	Code SASLCode
}

func parseSASL(code uint64, f *fields) Performative {
	switch code {
	case descMechanisms:
		return &SASLMechanisms{Mechanisms: f.symbolOrSymbols()}
	case descInit:
		return &SASLInit{Mechanism: required[Symbol](f), Response: get(f, []byte(nil)), Hostname: get(f, "")}
	case descChallenge:
		return &SASLChallenge{Challenge: required[[]byte](f)}
	case descResponse:
		return &SASLResponse{Response: required[[]byte](f)}
	case descOutcome:
		return &SASLOutcome{Code: SASLCode(required[uint8](f))}
	}
	return nil
}

// symbolOrSymbols reads a field that may hold several: one may stand without an array.
func (f *fields) symbolOrSymbols() Symbols {
	switch v := required[any](f).(type) {
	case Symbol:
		return Symbols{v}
	case Symbols:
		return v
	}
	f.fail("a field is of another type than symbol")
	return nil
}

func (p *SASLMechanisms) appendTo(b []byte) []byte {
	return appendComposite(b, descMechanisms, p.Mechanisms)
}

func (p *SASLInit) appendTo(b []byte) []byte {
	var response any
	if p.Response != nil {
		response = p.Response
	}
	return appendComposite(b, descInit, p.Mechanism, response, textOrNull(p.Hostname))
}

func (p *SASLChallenge) appendTo(b []byte) []byte {
	return appendComposite(b, descChallenge, p.Challenge)
}

func (p *SASLResponse) appendTo(b []byte) []byte { return appendComposite(b, descResponse, p.Response) }

func (p *SASLOutcome) appendTo(b []byte) []byte {
	return appendComposite(b, descOutcome, uint8(p.Code))
}
