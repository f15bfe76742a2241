# Values of pooling with a known covariance of the effects, and of CR2: `Rscript correlated.R > correlated.json`.
# R 4.2.2, metafor 3.8-1, clubSandwich 0.5.8 (Debian 12: r-cran-metafor, r-cran-clubsandwich, r-cran-jsonlite).
suppressPackageStartupMessages({library(metafor); library(clubSandwich); library(jsonlite)})

set.seed(1309)
k <- 9
se <- round(runif(k, 0.05, 0.3), 3)
cluster <- c("a", "a", "a", "b", "b", "c", "c", "d", "e")
same <- outer(cluster, cluster, "==")
wishart <- cov2cor(crossprod(matrix(rnorm(2 * k * k), 2 * k)))
correlations <- list(
  equicorrelated = matrix(0.5, k, k) + diag(0.5, k),
  block = ifelse(same, 0.6, 0) + diag(0.4, k),
  random = wishart,
  independent = diag(k)
)
heterogeneous <- round(0.2 + rnorm(k, 0, 0.25) + rnorm(k, 0, se), 3)
homogeneous <- round(0.2 + rnorm(k, 0, 0.4 * se), 3)

case <- function(name, y, cluster_too) {
  V <- round(correlations[[name]] * outer(se, se), 8)
  V[lower.tri(V)] <- t(V)[lower.tri(V)]
  data <- data.frame(y = y, id = 1:k, cluster = cluster)
  fit <- rma.mv(y, V, random = ~ 1 | id, data = data, method = "REML", control = list(rel.tol = 1e-10))
  fixed <- rma.mv(y, V, data = data)
  W <- solve(V)
  P <- W - W %*% matrix(1, k, k) %*% W / sum(W)
  result <- list(
    V = V, y = y,
    reml = list(estimate = coef(fit)[[1]], std_error = fit$se, ci_low = fit$ci.lb, ci_high = fit$ci.ub,
                p = fit$pval, tau2 = fit$sigma2, q = fit$QE, q_p = fit$QEp,
                i2 = 100 * fit$sigma2 / (fit$sigma2 + (k - 1) / sum(diag(P)))),
    fixed = list(estimate = coef(fixed)[[1]], std_error = fixed$se, q = fixed$QE)
  )
  if (cluster_too) {
    by <- function(clusters) {
      interval <- conf_int(fit, vcov = "CR2", cluster = clusters, p_values = TRUE)
      list(estimate = interval$beta, std_error = interval$SE, df = interval$df, ci_low = interval$CI_L,
           ci_high = interval$CI_U, p = interval$p_val)
    }
    result$cr2 <- by(data$cluster)
  }
  result
}

cases <- list()
for (name in names(correlations)) {
  known <- name %in% c("block", "independent")  # CR2 assumes that clusters are independent
  cases[[paste(name, "heterogeneous")]] <- case(name, heterogeneous, known)
  cases[[paste(name, "homogeneous")]] <- case(name, homogeneous, known)
}
cat(toJSON(list(se = se, cluster = cluster, cases = cases), digits = 17, auto_unbox = TRUE, pretty = 2), "\n")
