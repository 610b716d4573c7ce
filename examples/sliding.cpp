// The mean of a sliding window, for every type and width that is instantiated below.
#include <cstddef>
#include <cstdint>

namespace {

template <class T, class Sum, std::size_t Width>
void sliding_mean(std::size_t n, const T *x, T *y)
{
    Sum sum = 0;
    for (std::size_t i = 0; i < n; i++) {
        sum += x[i];
        if (i >= Width)
            sum -= x[i - Width];
        y[i] = static_cast<T>(sum / static_cast<Sum>(i + 1 < Width ? i + 1 : Width));
    }
}

} // namespace

extern "C" {
void sliding_mean_f32_4(std::size_t n, const float *x, float *y) { sliding_mean<float, double, 4>(n, x, y); }
void sliding_mean_i16_8(std::size_t n, const std::int16_t *x, std::int16_t *y)
{
    sliding_mean<std::int16_t, std::int32_t, 8>(n, x, y);
}
}
