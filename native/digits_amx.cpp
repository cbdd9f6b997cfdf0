// The products of digits.hpp on AMX tiles; CMakeLists.txt gives the flags.
#define STEPLOOM_ISA amx
#include "digits.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "digit_tiles.hpp"

namespace steploom {
namespace {

using namespace amx;

// Rows of the left side and numbers of each whose digits stay in the first-level cache while all panels pass by.
constexpr int most_rows = 2 * tile_rows, most_inner = 320;
constexpr Index far_digits = Index{1} << 18;  // floats; beyond, the right side is not in the second-level cache

// The chunks [first, first + many) of a sum, so many numbers.
struct Pass {
    Index first, many, inner;
};
struct Passes {
    Index inner, chunks = digit_chunks(inner), count = (chunks * chunk + most_inner - 1) / most_inner;
    Pass operator[](Index i) const {
        const Index first = chunks * i / count, many = chunks * (i + 1) / count - first;
        return {first, many, std::min(inner - first * chunk, many * chunk)};
    }
};

// Rows that are multiplied with all panels while their digits are in the first-level cache: one or two tiles high.
struct Group {
    int blocks, height;
    explicit Group(Index rows) : blocks(rows > tile_rows ? 2 : 1), height(static_cast<int>(digit_tile_height(rows))) {}
    int rows() const { return blocks * height; }
    // Rows of a block where so many are left from the group's first on.
    int height_of(int block, Index left) const { return static_cast<int>(std::clamp<Index>(left - block * height, 0, height)); }
};

struct Left {
    alignas(64) std::int8_t tiles[most_rows * most_inner * 3];
    Scale scales[most_rows];
    std::int8_t* tiles_of(int block, const Pass& pass) { return tiles + block * pass.many * chunk_bytes; }
    Scale* scales_of(int block) { return scales + block * tile_rows; }
};

// Panels [first, last) of a right side.
struct Right {
    const float* panels;
    Index inner;
    int columns, first, last;
    const float* sizes(int panel) const { return panels + panel * digit_panel_size(inner); }
    // Of 16 columns of a panel, the first or the second.
    const std::int8_t* tiles(int panel, int half) const {
        return reinterpret_cast<const std::int8_t*>(sizes(panel) + digit_panel_columns) + half * digit_chunks(inner) * chunk_bytes;
    }
};

// Where a product goes, and what it is added to; null: nothing.
struct Target {
    const float* init;
    Index init_row;
    float* out;
    Index out_row;
};

// A group of rows, of which so many are left, by all panels.
void multiply_panels(Left& left, const Group& group, Index rows, const Right& right, const Pass& pass, const Target& to, Ahead* ahead) {
    const bool far = (right.last - right.first) * digit_panel_size(right.inner) > far_digits;
    alignas(64) std::int32_t sums[3 * 256];
    settle_memory(left.tiles);
    for (int panel = right.first; panel < right.last; ++panel)
        for (int half = 0; half < 2; ++half) {
            const int column = panel * digit_panel_columns + half * 16, width = std::min(16, right.columns - column);
            if (width <= 0) break;
            const std::int8_t* const tiles = right.tiles(panel, half) + pass.first * chunk_bytes;
            for (int b = 0; b < group.blocks; ++b) {
                const int here = group.height_of(b, rows);
                if (!here) break;
                if (ahead) {
                    const auto next = reinterpret_cast<std::uintptr_t>(ahead->next(pass.many));
                    prefetch(next, pass.many * ahead->step());
                }
                // The columns that follow stand right behind these.
                const auto soon = reinterpret_cast<std::uintptr_t>(tiles) + static_cast<std::uintptr_t>(digit_chunks(right.inner) * chunk_bytes);
                multiply(left.tiles_of(b, pass), tiles, pass.many, sums, far && b == 0 ? soon : 0);
                const Index row = b * group.height;
                finish(sums, here, left.scales_of(b), right.sizes(panel) + half * 16, width, to.init ? to.init + row * to.init_row + column : nullptr,
                       to.init_row, to.out + row * to.out_row + column, to.out_row);
            }
        }
}

// A row that holds infinity, or will when it is multiplied by its factors, is multiplied number by number, in double: a factor
// must not make a number infinite.
void add_row(const float* left, const float* by, const Right& right, const Pass& pass, float* out) {
    for (int column = right.first * digit_panel_columns; column < std::min(right.columns, right.last * digit_panel_columns); ++column) {
        const int panel = column / digit_panel_columns, place = column % digit_panel_columns;
        const std::int8_t* const tiles = right.tiles(panel, place / 16) + place % 16 * 4;
        const double unit = double{right.sizes(panel)[place]} / largest_whole;
        double sum = 0;
        for (int k = 0; k < pass.inner; ++k) {
            const int number = k % chunk;
            const std::int8_t* const digit = tiles + (pass.first + k / chunk) * chunk_bytes + place_of_four(number / 4) * 64 + number % 4;
            const int whole = (digit[0] * 256 + digit[tile_bytes]) * 256 + digit[2 * tile_bytes];
            sum += double{left[k]} * (by ? by[k] : 1) * (whole * unit);
        }
        out[column] += static_cast<float>(sum);
    }
}

// A group of rows of a factor by all panels; only the numbers of a pass.
void multiply_rows(const float* from, Index left_row, const float* by, const Group& group, Index rows, const Right& right, const Pass& pass,
                   const Target& to, Left& left, Ahead* ahead) {
    unsigned infinite_rows[2] = {};
    const auto row_of = [&](int b, int i) { return from + (b * group.height + i) * left_row + pass.first * chunk; };
    const float* const factors = by ? by + pass.first * chunk : nullptr;
    for (int b = 0; b < group.blocks; ++b) {
        infinite_rows[b] = split_along(row_of(b, 0), left_row, group.height_of(b, rows), pass.inner, factors, left.tiles_of(b, pass),
                                       left.scales_of(b));
        for (int i = 0; infinite_rows[b] >> i; ++i)
            if (infinite_rows[b] >> i & 1) left.scales_of(b)[i].size = 0;
    }
    multiply_panels(left, group, rows, right, pass, to, ahead);
    for (int b = 0; b < group.blocks; ++b)
        for (int i = 0; infinite_rows[b] >> i; ++i)
            if (infinite_rows[b] >> i & 1) add_row(row_of(b, i), factors, right, pass, to.out + (b * group.height + i) * to.out_row);
}

}  // namespace

void balance(const float* most, Index inner, float* up, float* down) {
    for (Index k = 0; k < inner; ++k) {
        int power = 0;
        if (most[k] > 0 && std::isfinite(most[k])) std::frexp(most[k], &power);
        power = std::clamp(power, -40, 40);
        up[k] = std::ldexp(1.0f, power), down[k] = std::ldexp(1.0f, -power);
    }
}

void pack_digits(const float* matrix, Index column_stride, Index inner_stride, int columns, int inner, const float* by, float* panels, int first,
                 int last) {
    const Index chunks = digit_chunks(inner);
    for (int panel = first; panel < last; ++panel) {
        float* const sizes = panels + panel * digit_panel_size(inner);
        std::int8_t* tiles = reinterpret_cast<std::int8_t*>(sizes + digit_panel_columns);
        const int column = panel * digit_panel_columns, width = std::min(columns - column, digit_panel_columns);
        const float* const from = matrix + column * column_stride;
        Scale scales[digit_panel_columns] = {};
        if (inner_stride != 1) scales_of_columns(from, column_stride, inner_stride, width, inner, by, scales);
        for (int half = 0; half < digit_panel_columns; half += 16, tiles += chunks * chunk_bytes) {
            const int here = std::clamp(width - half, 0, 16);
            const float* const at = from + half * column_stride;
            if (inner_stride != 1) {
                split_across(at, column_stride, inner_stride, here, inner, by, tiles, ColumnScales(scales + half, here));
                continue;
            }
            split_along(at, column_stride, here, inner, by, tiles, scales + half);
            for (Index tile = 0; tile < 3 * chunks; ++tile)
                std::fill(tiles + tile * tile_bytes + here * 64, tiles + (tile + 1) * tile_bytes, std::int8_t{0});
            turn_tiles(tiles, 3 * chunks);
        }
        for (int i = 0; i < digit_panel_columns; ++i) sizes[i] = scales[i].size;
    }
}

void digit_product(const DigitFactor* factors, int count, const float* init, Index init_row, float* out, Index out_row, Index rows,
                   int columns, int first_panel, int last_panel, Ahead* ahead) {
    const Group group(rows);
    const Tiles configured(group.height);
    Left left;
    for (Index row = 0; row < rows; row += group.rows()) {
        float* const to = out + row * out_row;
        const Target begin{init ? init + row * init_row : nullptr, init_row, to, out_row}, on{to, out_row, to, out_row};
        for (int f = 0; f < count; ++f) {
            const auto& [from, left_row, panels, inner, by] = factors[f];
            const Right right{panels, inner, columns, first_panel, last_panel};
            const Passes passes{inner};
            for (Index i = 0; i < passes.count; ++i)
                multiply_rows(from + row * left_row, left_row, by, group, rows - row, right, passes[i], f || i ? on : begin, left, ahead);
        }
    }
}

void digit_outer(Index count, const float* left, Index left_row, int rows, const float* right, Index right_row, int columns, float* out,
                 Index out_row, bool add, float* space) {
    const Group group(rows);
    const Tiles configured(group.height);
    Left digits;
    // A sum over rows r of which some are far larger than others on the left: there they are divided by their size.
    float most_of[most_summed_digits], up[most_summed_digits], down[most_summed_digits];
    for (Index r = 0; r < count; ++r) {
        const int bits = largest_bits(left + r * left_row, nullptr, rows);
        std::memcpy(most_of + r, &bits, sizeof bits);
    }
    balance(most_of, count, up, down);
    const Passes passes{count};
    const int panels = digit_panels(columns), most = static_cast<int>(digit_space / digit_panel_size(count));
    for (int panel = 0; panel < panels; panel += most) {
        const int column = panel * digit_panel_columns;
        const Right here{space, count, columns - column, 0, std::min(most, panels - panel)};
        pack_digits(right + column, 1, right_row, here.columns, static_cast<int>(count), up, space, 0, here.last);
        for (int row = 0; row < rows; row += group.rows()) {
            Scale scales[most_rows] = {};
            scales_of_columns(left + row, 1, left_row, std::min(group.rows(), rows - row), count, down, scales);
            for (int b = 0; b < group.blocks; ++b) std::copy_n(scales + b * group.height, group.height, digits.scales_of(b));
            for (Index i = 0; i < passes.count; ++i) {
                const Pass pass = passes[i];
                for (int b = 0; b < group.blocks; ++b) {
                    const int height = group.height_of(b, rows - row);
                    if (!height) break;
                    split_across(left + pass.first * chunk * left_row + row + b * group.height, 1, left_row, height, pass.inner,
                                 down + pass.first * chunk, digits.tiles_of(b, pass), ColumnScales(digits.scales_of(b), height));
                    turn_tiles(digits.tiles_of(b, pass), 3 * pass.many);
                }
                float* const to = out + row * out_row + column;
                multiply_panels(digits, group, rows - row, here, pass, {add || i ? to : nullptr, out_row, to, out_row}, nullptr);
            }
        }
    }
}

}  // namespace steploom
