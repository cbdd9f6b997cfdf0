// An LSTM over a batch of sequences, forward and backward, as a plain loop in double: what the core must agree with.
#pragma once

#include "check.hpp"

namespace steploom::test {

struct Shape {
    int time, batch, input, hidden;
};

struct Problem {
    Shape shape{};
    bool reversed = false;
    std::vector<std::int64_t> lengths;  // empty: all are `time`
    std::vector<std::uint8_t> resets;   // empty: none; else (time, batch)
    std::vector<double> x, h, c, w, u, b, d;  // h, c: (batch, hidden); w, u: (4 hidden, input or hidden), gates i f g o
    std::vector<double> reset_h, reset_c;
    std::vector<double> dy, dh, dc;  // gradients that arrive

    Problem(Shape s, bool with_lengths, bool backwards, bool with_resets, unsigned seed) : shape(s), reversed(backwards) {
        Random random(seed);
        const int T = s.time, B = s.batch, I = s.input, H = s.hidden;
        if (with_lengths)
            for (int n = 0; n < B; ++n) lengths.push_back(random.below(T + 1));
        if (with_resets)
            for (int n = 0; n < T * B; ++n) resets.push_back(random.below(4) == 0);
        x = random.normals(T * B * I), h = random.normals(B * H, 0.5), c = random.normals(B * H, 0.5);
        w = random.normals(4 * H * I, 0.3), u = random.normals(4 * H * H, 0.3);
        b = random.normals(4 * H, 0.3), d = random.normals(4 * H, 0.3);
        reset_h = random.normals(B * H, 0.5), reset_c = random.normals(B * H, 0.5);
        dy = random.normals(T * B * H), dh = random.normals(B * H), dc = random.normals(B * H);
    }
    std::int64_t length(int n) const { return lengths.empty() ? shape.time : lengths[n]; }
};

struct Results {
    std::vector<double> y, h, c;
    std::vector<double> dx, dh, dc, dw, du, db, dreset_h, dreset_c;
};

inline double logistic(double v) { return 1 / (1 + std::exp(-v)); }

inline Results by_hand(const Problem& p) {
    const auto [T, B, I, H] = p.shape;
    Results r;
    r.y.assign(T * B * H, 0), r.h = p.h, r.c = p.c;
    r.dx.assign(T * B * I, 0), r.dh = p.dh, r.dc = p.dc;
    r.dw.assign(p.w.size(), 0), r.du.assign(p.u.size(), 0), r.db.assign(p.b.size(), 0);
    r.dreset_h.assign(B * H, 0), r.dreset_c.assign(B * H, 0);
    for (int n = 0; n < B; ++n) {
        const int L = static_cast<int>(p.length(n));
        std::vector<std::vector<double>> h(L), c(L), gates(L);
        std::vector<char> reset(L, 0);
        double *hn = &r.h[n * H], *cn = &r.c[n * H];
        std::vector<double> now_h(hn, hn + H), now_c(cn, cn + H);
        const auto place = [&](int t) { return p.reversed ? L - 1 - t : t; };
        for (int t = 0; t < L; ++t) {
            // Resets stand before a step in the order of the data; read backwards, behind the one that came earlier.
            const int at = p.reversed ? L - t : t;
            if (!p.resets.empty() && !(p.reversed && t == 0) && p.resets[at * B + n]) {
                reset[t] = 1;
                now_h.assign(&p.reset_h[n * H], &p.reset_h[n * H] + H);
                now_c.assign(&p.reset_c[n * H], &p.reset_c[n * H] + H);
            }
            h[t] = now_h, c[t] = now_c;
            const double* x = &p.x[(place(t) * B + n) * I];
            std::vector<double>& z = gates[t];
            for (int g = 0; g < 4 * H; ++g) {
                double sum = p.b[g] + p.d[g];
                for (int k = 0; k < I; ++k) sum += p.w[g * I + k] * x[k];
                for (int k = 0; k < H; ++k) sum += p.u[g * H + k] * h[t][k];
                z.push_back(g / H == 2 ? std::tanh(sum) : logistic(sum));
            }
            for (int j = 0; j < H; ++j) {
                now_c[j] = z[H + j] * c[t][j] + z[j] * z[2 * H + j];
                now_h[j] = z[3 * H + j] * std::tanh(now_c[j]);
                r.y[(place(t) * B + n) * H + j] = now_h[j];
            }
        }
        std::copy(now_h.begin(), now_h.end(), hn);
        std::copy(now_c.begin(), now_c.end(), cn);

        double *dh = &r.dh[n * H], *dc = &r.dc[n * H];
        for (int t = L - 1; t >= 0; --t) {
            const std::vector<double>& z = gates[t];
            std::vector<double> dz(4 * H);
            for (int j = 0; j < H; ++j) {
                const double i = z[j], f = z[H + j], g = z[2 * H + j], o = z[3 * H + j];
                const double tanh_c = std::tanh(f * c[t][j] + i * g);
                const double dout = dh[j] + p.dy[(place(t) * B + n) * H + j];
                const double dcell = dc[j] + dout * o * (1 - tanh_c * tanh_c);
                dz[3 * H + j] = dout * tanh_c * o * (1 - o);
                dz[j] = dcell * g * i * (1 - i);
                dz[H + j] = dcell * c[t][j] * f * (1 - f);
                dz[2 * H + j] = dcell * i * (1 - g * g);
                dc[j] = dcell * f;
            }
            const double* x = &p.x[(place(t) * B + n) * I];
            double* dx = &r.dx[(place(t) * B + n) * I];
            std::fill(dh, dh + H, 0.0);
            for (int g = 0; g < 4 * H; ++g) {
                r.db[g] += dz[g];
                for (int k = 0; k < I; ++k) r.dw[g * I + k] += dz[g] * x[k], dx[k] += dz[g] * p.w[g * I + k];
                for (int k = 0; k < H; ++k) r.du[g * H + k] += dz[g] * h[t][k], dh[k] += dz[g] * p.u[g * H + k];
            }
            if (reset[t])
                for (int j = 0; j < H; ++j) {
                    r.dreset_h[n * H + j] += dh[j], r.dreset_c[n * H + j] += dc[j];
                    dh[j] = dc[j] = 0;
                }
        }
    }
    return r;
}

}  // namespace steploom::test
