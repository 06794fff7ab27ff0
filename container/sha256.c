/* SHA-256 (FIPS 180-4) under the names that the interpreter's own module has.
 *
 * Debian and Ubuntu leave the objects that `_sha2` is made of out of their static libpython since
 * Python 3.12, and `hashlib` would bring all of libcrypto into the box. One form of it for every
 * version of Python: what is tested in one is what runs in the other.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdint.h>

enum { BLOCK = 64, LENGTH_AT = 56, DIGEST = 32, WORDS = 8, ROUNDS = 64 };

/* The first 32 bits of the fractions of the cube roots of the first 64 primes. */
static const uint32_t round_constant[ROUNDS] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

/* The first 32 bits of the fractions of the square roots of the first 8 primes. */
static const uint32_t start[WORDS] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                      0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

static inline uint32_t turn(uint32_t word, int bits) { return word >> bits | word << (32 - bits); }

static void absorb(uint32_t state[WORDS], const uint8_t *block) {
    uint32_t w[ROUNDS];
    for (int i = 0; i < 16; i++, block += 4)
        w[i] = (uint32_t)block[0] << 24 | (uint32_t)block[1] << 16 | (uint32_t)block[2] << 8 |
               block[3];
    for (int i = 16; i < ROUNDS; i++) {
        uint32_t low = w[i - 15], high = w[i - 2];
        w[i] = w[i - 16] + (turn(low, 7) ^ turn(low, 18) ^ low >> 3) + w[i - 7] +
               (turn(high, 17) ^ turn(high, 19) ^ high >> 10);
    }
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
    uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
    for (int i = 0; i < ROUNDS; i++) {
        uint32_t one = h + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + ((e & f) ^ (~e & g)) +
                       round_constant[i] + w[i];
        uint32_t two = (turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
        h = g, g = f, f = e, e = d + one, d = c, c = b, b = a, a = one + two;
    }
    state[0] += a, state[1] += b, state[2] += c, state[3] += d;
    state[4] += e, state[5] += f, state[6] += g, state[7] += h;
}

static void sha256(const uint8_t *data, size_t size, uint8_t digest[DIGEST]) {
    uint32_t state[WORDS];
    memcpy(state, start, sizeof state);
    size_t left = size;
    for (; left >= BLOCK; left -= BLOCK, data += BLOCK) absorb(state, data);

    uint8_t end[2 * BLOCK] = {0}; /* what is left, a one bit, zeros, the length in bits */
    if (left) memcpy(end, data, left);
    end[left] = 0x80;
    size_t used = left < LENGTH_AT ? BLOCK : 2 * BLOCK;
    uint64_t bits = (uint64_t)size * 8;
    for (int i = 1; i <= 8; i++, bits >>= 8) end[used - i] = (uint8_t)bits;
    for (size_t at = 0; at < used; at += BLOCK) absorb(state, end + at);

    for (int i = 0; i < WORDS; i++)
        for (int j = 0; j < 4; j++) *digest++ = (uint8_t)(state[i] >> (24 - 8 * j));
}

typedef struct {
    PyObject head;
    uint8_t digest[DIGEST];
} Hash;

static PyObject *hash_digest(PyObject *self, PyObject *none) {
    (void)none;
    return PyBytes_FromStringAndSize((const char *)((Hash *)self)->digest, DIGEST);
}

static PyMethodDef hash_methods[] = {{"digest", hash_digest, METH_NOARGS, NULL},
                                     {NULL, NULL, 0, NULL}};

static PyTypeObject hash_type = {PyVarObject_HEAD_INIT(NULL, 0).tp_name = "_sha2.SHA256Type",
                                 .tp_basicsize = sizeof(Hash),
                                 .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
                                 .tp_methods = hash_methods};

static PyObject *module_sha256(PyObject *module, PyObject *data) {
    Py_buffer view;
    (void)module;
    if (PyObject_GetBuffer(data, &view, PyBUF_SIMPLE) < 0) return NULL;
    Hash *made = PyObject_New(Hash, &hash_type);
    if (made != NULL) sha256(view.buf, (size_t)view.len, made->digest);
    PyBuffer_Release(&view);
    return (PyObject *)made;
}

static PyMethodDef module_methods[] = {{"sha256", module_sha256, METH_O, NULL},
                                       {NULL, NULL, 0, NULL}};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, .m_name = "_sha2", .m_size = -1,
                                    .m_methods = module_methods};

PyObject *PyInit__sha2(void) {
    if (PyType_Ready(&hash_type) < 0) return NULL;
    return PyModule_Create(&module);
}
